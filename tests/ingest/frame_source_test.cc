#include "ingest/frame_source.h"

#include <cstring>
#include <deque>

#include <gtest/gtest.h>

namespace millrace {
namespace {

using bytes = std::vector<std::byte>;

/// A device in memory: the test is its wire.
class wire_device : public frame_device {
 public:
  std::uint32_t receive(std::span<device_frame> out, std::uint32_t& unjoined) override {
    unjoined = std::exchange(unjoined_next, 0);
    std::uint32_t count = 0;
    for (; count < out.size() && !arriving.empty(); ++count) {
      out[count] = arriving.front();
      arriving.pop_front();
    }
    return count;
  }
  void release(std::uint64_t buffer) override { released.push_back(buffer); }
  std::uint32_t claim(std::span<device_frame> out) override {
    const auto count = static_cast<std::uint32_t>(std::min(out.size(), claimable));
    for (std::uint32_t i = 0; i < count; ++i) {
      out[i] = {.bytes = storage[i].data(), .capacity = 2000};
    }
    return count;
  }
  std::uint32_t transmit(std::span<const device_frame> frames) override {
    std::uint32_t count = 0;
    for (const device_frame& one : frames) {
      if (one.length == 0 || count == transmittable) break;
      sent.emplace_back(one.bytes, one.bytes + one.length);
      ++count;
    }
    return count;
  }
  std::uint64_t lost() const override { return 3; }
  std::vector<source_statistic> statistics() const override { return {{"of_the_driver", 5}}; }
  std::string describe() const override { return "wire"; }

  std::deque<device_frame> arriving;
  std::vector<std::uint64_t> released;
  std::vector<bytes> sent;
  std::size_t claimable = 64;
  std::size_t transmittable = 64;
  std::uint32_t unjoined_next = 0;
  std::array<std::array<std::byte, 2000>, 64> storage;
};

constexpr link_address our_link{2, 0, 0, 0, 0, 1};
constexpr link_address peer_link{2, 0, 0, 0, 0, 2};

class frame_source_test : public testing::Test {
 protected:
  void open(std::vector<std::string> addresses, bool verify_udp = true) {
    auto device = std::make_unique<wire_device>();
    wire_ = device.get();
    frame_source_options options{.identity = {our_link, {}},
                                 .listen_ports = {4567, 5514},
                                 .mtu = 1500,
                                 .buffers = 4,
                                 .buffer_bytes = 2048,
                                 .verify_udp = verify_udp};
    for (const std::string& one : addresses)
      options.identity.addresses.push_back(*parse_port_address(one));
    source_ = std::make_unique<frame_source>(std::move(device), options);
  }

  endpoint at(const std::string& text, std::uint16_t port) {
    const auto address = *parse_port_address(text + "/32");
    endpoint out;
    out.address = address.address;
    out.family = address.family;
    out.port = port;
    return out;
  }

  /// A datagram from the peer, 192.0.2.2, comes in.
  device_frame& arrive(const std::string& to, std::uint16_t port, const std::string& text) {
    endpoint destination = at(to, port);
    destination.link = our_link;
    bytes& frame = memory_.emplace_back(udp_headers_bytes(destination) + text.size());
    std::memcpy(frame.data() + frame.size() - text.size(), text.data(), text.size());
    write_udp_headers(frame, peer_link, *parse_port_address("192.0.2.2/24"), 9000, destination);
    wire_->arriving.push_back({.bytes = frame.data(),
                               .length = static_cast<std::uint32_t>(frame.size()),
                               .buffer = memory_.size()});
    return wire_->arriving.back();
  }

  std::vector<received_packet> take() {
    std::vector<received_packet> out(64);
    out.resize(source_->receive(out));
    return out;
  }

  std::uint32_t send(const endpoint& to, std::size_t count = 1, std::size_t length = 5) {
    const bytes data(length, std::byte{'d'});
    return source_->send(std::vector(count, outgoing_packet{data, to, 1}));
  }

  parsed_frame read_by(const std::string& who, const bytes& frame) {
    return parse_frame(frame, {peer_link, {*parse_port_address(who + "/24")}}, {});
  }

  wire_device* wire_ = nullptr;
  std::unique_ptr<frame_source> source_;
  std::deque<bytes> memory_;
};

TEST_F(frame_source_test, the_answer_leaves_from_the_address_that_was_written_to) {
  open({"192.0.2.1/24", "192.0.2.7/24"});
  arrive("192.0.2.7", 5514, "hello");
  const auto heard = take();
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].listener, 1);
  EXPECT_EQ(send(heard[0].from), 1u);
  const parsed_frame answer = read_by("192.0.2.2", wire_->sent.at(0));
  ASSERT_EQ(answer.kind, frame_kind::udp) << to_string(answer.why);
  EXPECT_EQ(answer.from.address, at("192.0.2.7", 0).address);
  EXPECT_EQ(answer.from.port, 5514);
  EXPECT_EQ(answer.to_port, 9000);
}

TEST_F(frame_source_test, a_peer_not_heard_from_is_asked_for_before_it_is_written_to) {
  open({"198.51.100.1/24", "192.0.2.1/24"});
  const endpoint peer = at("192.0.2.2", 9000);
  EXPECT_EQ(send(peer, 3), 3u) << "lost, as on any network";
  ASSERT_EQ(wire_->sent.size(), 1u) << "asked once, not three times";
  const parsed_frame question = read_by("192.0.2.2", wire_->sent[0]);
  ASSERT_EQ(question.kind, frame_kind::arp_request);
  EXPECT_EQ(question.from.address, at("192.0.2.1", 0).address) << "asked from the same network";
  bytes answer(frame_answer_bytes_min);
  answer.resize(build_answer(wire_->sent[0], question,
                             {peer_link, {*parse_port_address("192.0.2.2/24")}}, answer));
  wire_->arriving.push_back(
      {.bytes = answer.data(), .length = static_cast<std::uint32_t>(answer.size())});
  EXPECT_TRUE(take().empty());
  EXPECT_EQ(send(peer, 3), 3u);
  EXPECT_EQ(wire_->sent.size(), 4u);
  EXPECT_EQ(std::memcmp(wire_->sent[1].data(), peer_link.data(), 6), 0);
}

TEST_F(frame_source_test, an_address_that_was_not_asked_for_is_not_learned) {
  open({"192.0.2.1/24"});
  bytes request(64), answer(frame_answer_bytes_min);
  request.resize(build_resolve_request(our_link, *parse_port_address("192.0.2.1/24"),
                                       at("192.0.2.66", 0), request));
  const port_identity liar{peer_link, {*parse_port_address("192.0.2.66/24")}};
  answer.resize(build_answer(request, parse_frame(request, liar, {}), liar, answer));
  wire_->arriving.push_back(
      {.bytes = answer.data(), .length = static_cast<std::uint32_t>(answer.size())});
  EXPECT_TRUE(take().empty());
  EXPECT_EQ(send(at("192.0.2.66", 1)), 1u);
  EXPECT_EQ(read_by("192.0.2.66", wire_->sent.at(0)).kind, frame_kind::arp_request);
}

TEST_F(frame_source_test, what_is_not_taken_is_given_back_to_the_device_at_once) {
  open({"192.0.2.1/24"});
  arrive("192.0.2.1", 4567, "mine");
  arrive("192.0.2.1", 99, "nobody's");
  arrive("192.0.2.9", 4567, "another's");
  EXPECT_EQ(take().size(), 1u);
  EXPECT_EQ(wire_->released, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(source_->counters().buffers_free, 3u);
  source_->release(1);
  EXPECT_EQ(wire_->released.back(), 1u);
  EXPECT_EQ(source_->counters().buffers_free, 4u);
}

TEST_F(frame_source_test, the_hardwares_verdict_on_checksums_counts) {
  open({"192.0.2.1/24"});
  arrive("192.0.2.1", 4567, "bad").checksum_is_bad = true;
  EXPECT_TRUE(take().empty());
  device_frame& unsure = arrive("192.0.2.1", 4567, "text");
  unsure.bytes[unsure.length - 1] ^= std::byte{1};
  EXPECT_TRUE(take().empty()) << "verified here when the hardware did not";
  device_frame& vouched = arrive("192.0.2.1", 4567, "text");
  vouched.bytes[vouched.length - 1] ^= std::byte{1};
  vouched.udp_is_good = true;
  EXPECT_EQ(take().size(), 1u);
  EXPECT_EQ(source_->counters().dropped, 2u + 3) << "with what the driver lost";
}

TEST_F(frame_source_test, software_drivers_frames_are_not_verified) {
  open({"192.0.2.1/24"}, false);
  device_frame& partial = arrive("192.0.2.1", 4567, "text");
  partial.bytes[partial.length - 1] ^= std::byte{1};
  EXPECT_EQ(take().size(), 1u);
}

TEST_F(frame_source_test, sending_stops_where_the_device_does) {
  open({"192.0.2.1/24"});
  endpoint peer = at("192.0.2.2", 9000);
  peer.link = peer_link;
  wire_->claimable = 10;
  EXPECT_EQ(send(peer, 25), 25u);
  EXPECT_EQ(wire_->sent.size(), 25u);
  wire_->transmittable = 4;
  EXPECT_EQ(send(peer, 25), 4u);
  wire_->claimable = 0;
  EXPECT_EQ(send(peer, 25), 0u);
}

TEST_F(frame_source_test, a_passive_port_sends_nothing) {
  open({});
  arrive("203.0.113.77", 4567, "mirrored");
  const auto heard = take();
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(send(heard[0].from, 2), 2u);
  EXPECT_TRUE(wire_->sent.empty());
}

TEST_F(frame_source_test, running_out_of_buffers_is_a_stall) {
  open({"192.0.2.1/24"});
  for (int i = 0; i < 4; ++i)
    arrive("192.0.2.1", 4567, "held");
  EXPECT_EQ(take().size(), 4u);
  EXPECT_EQ(source_->counters().stalled, 0u);
  EXPECT_TRUE(take().empty());
  EXPECT_EQ(source_->counters().stalled, 1u);
  EXPECT_EQ(source_->counters().buffers_free, 0u);
}

TEST(neighbour_table, forgets_and_asks_again_in_time) {
  neighbour_table table;
  endpoint who;
  who.family = 4;
  who.address = {192, 0, 2, 2};
  EXPECT_TRUE(table.find(who, 1000).ask);
  EXPECT_FALSE(table.find(who, 1000 + neighbour_retry_us - 1).ask);
  EXPECT_TRUE(table.find(who, 1000 + neighbour_retry_us).ask);
  endpoint answer = who;
  answer.link = peer_link;
  table.learn(answer, 200'000);
  const auto known = table.find(who, 200'001);
  ASSERT_NE(known.link, nullptr);
  EXPECT_EQ(*known.link, peer_link);
  EXPECT_FALSE(known.ask);
  const auto aging = table.find(who, 200'000 + neighbour_lifetime_us / 2);
  EXPECT_NE(aging.link, nullptr) << "still used while it is asked for again";
  EXPECT_TRUE(aging.ask);
  EXPECT_EQ(table.find(who, 200'000 + neighbour_lifetime_us).link, nullptr);
  who.vlan = 7;
  EXPECT_EQ(table.find(who, 200'001).link, nullptr) << "another network";
}

TEST(neighbour_table, is_bounded) {
  neighbour_table table;
  endpoint who;
  who.family = 4;
  for (std::uint32_t i = 0; i < 3 * neighbours_max; ++i) {
    std::memcpy(who.address.data(), &i, 4);
    EXPECT_TRUE(table.find(who, 1000 + i).ask);
  }
  EXPECT_EQ(table.size(), neighbours_max);
}

}  // namespace
}  // namespace millrace
