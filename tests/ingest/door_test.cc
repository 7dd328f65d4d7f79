#include "ingest/door.h"

#include <chrono>
#include <functional>
#include <set>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "ingest/memory_source.h"
#include "ingest/udp_source.h"
#include "tests/ingest/server_fixture.h"

namespace millrace::test {
namespace {

/// A safety net, not a measurement.
bool eventually(const std::function<bool()>& condition) {
  const std::uint64_t until = monotonic_us() + 30'000'000;
  while (monotonic_us() < until) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return false;
}

arena make_arena(std::uint64_t bytes = 256 * limits::mib) {
  return *arena::create({.bytes = bytes, .try_hugetlb = false});
}

std::vector<received_packet> receive_all(packet_source& source, std::size_t wanted) {
  std::vector<received_packet> all;
  std::vector<received_packet> burst(64);
  eventually([&] {
    const auto got = source.receive(burst);
    all.insert(all.end(), burst.begin(), burst.begin() + got);
    return all.size() >= wanted;
  });
  return all;
}

std::unique_ptr<udp_source> make_udp(arena& memory, udp_source_options options = {}) {
  if (options.listen.empty()) options.listen = {{.host = "127.0.0.1", .port = 0}};
  auto made = udp_source::create(memory, options);
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.failure().message());
  return *std::move(made);
}

TEST(udp_source, carries_datagrams_of_every_size_both_ways_and_gives_buffers_back) {
  auto memory = make_arena();
  const auto server = make_udp(memory, {.listen = {}, .slabs = 40});
  const auto there = make_udp(memory, {.listen = {}, .slabs = 40});
  const auto free_before = server->counters().buffers_free;
  std::vector<std::vector<std::byte>> sent;
  for (const std::size_t size : {1u, 8u, 1'400u, 1'400u, 1'400u, 900u, 9'000u, 65'507u}) {
    sent.emplace_back(size, static_cast<std::byte>(size));
  }
  std::vector<outgoing_packet> packets;
  for (const auto& one : sent)
    packets.push_back({.bytes = one, .to = server->local(0)});
  EXPECT_EQ(there->send(packets), packets.size());
  const auto got = receive_all(*server, sent.size());
  ASSERT_EQ(got.size(), sent.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(got[i].bytes, sent[i]));
    EXPECT_EQ(got[i].from, there->local(0));
  }
  const outgoing_packet answer{.bytes = sent[3], .to = got[0].from};
  EXPECT_EQ(server->send({&answer, 1}), 1u);
  EXPECT_EQ(receive_all(*there, 1).size(), 1u);
  for (const received_packet& one : got)
    server->release(one.buffer);
  // What is open for receiving stays with the source; nothing else does.
  EXPECT_GE(server->counters().buffers_free + udp_open_slabs, free_before);
}

TEST(udp_source, answers_from_the_address_that_was_written_to) {
  auto memory = make_arena();
  const auto server = make_udp(memory, {.listen = {{.host = "0.0.0.0"}}, .slabs = 40});
  const auto client = make_udp(memory, {.listen = {}, .slabs = 40});
  // All of 127/8 is this host; left to itself the kernel answers from 127.0.0.1.
  const std::vector<std::byte> data(100);
  for (const std::uint8_t last : {2, 3}) {
    endpoint to = server->local(0);
    to.address = {127, 0, 0, last};
    const outgoing_packet question{.bytes = data, .to = to};
    ASSERT_EQ(client->send({&question, 1}), 1u);
    const auto got = receive_all(*server, 1);
    ASSERT_EQ(got.size(), 1u);
    // One alone, and a run in one message.
    const std::vector<outgoing_packet> answers(3, {.bytes = data, .to = got[0].from});
    ASSERT_EQ(server->send(std::span(answers).first(1)), 1u);
    ASSERT_EQ(server->send(answers), 3u);
    const auto back = receive_all(*client, 4);
    ASSERT_EQ(back.size(), 4u);
    for (const received_packet& one : back) {
      EXPECT_EQ(one.from.address, to.address);
      client->release(one.buffer);
    }
    server->release(got[0].buffer);
  }
}

TEST(udp_source, segments_of_one_run_arrive_as_the_datagrams_they_were) {
  auto memory = make_arena();
  for (const bool use_gro : {true, false}) {
    udp_source_options options;
    options.slabs = 40;
    options.use_gro = use_gro;
    const auto server = make_udp(memory, options);
    const auto there = make_udp(memory, {.listen = {}, .slabs = 40});
    std::vector<std::vector<std::byte>> sent;
    for (int i = 0; i < 50; ++i) {
      sent.emplace_back(i == 49 ? 333 : 1'200, static_cast<std::byte>(i));
    }
    std::vector<outgoing_packet> packets;
    for (const auto& one : sent)
      packets.push_back({.bytes = one, .to = server->local(0)});
    EXPECT_EQ(there->send(packets), 50u);
    const auto got = receive_all(*server, 50);
    ASSERT_EQ(got.size(), 50u);
    for (std::size_t i = 0; i < 50; ++i)
      EXPECT_TRUE(std::ranges::equal(got[i].bytes, sent[i]));
    for (const received_packet& one : got)
      server->release(one.buffer);
  }
}

TEST(udp_source, without_a_free_buffer_it_stalls_and_goes_on_when_one_comes_back) {
  auto memory = make_arena();
  const auto server = make_udp(memory, {.listen = {}, .slabs = udp_open_slabs + 1});
  const auto there = make_udp(memory, {.listen = {}, .slabs = 40});
  const std::vector<std::byte> big(60'000);
  const outgoing_packet packet{.bytes = big, .to = server->local(0)};
  std::vector<received_packet> held;
  std::vector<received_packet> burst(64);
  for (int i = 0; i < 200 && server->counters().stalled == 0; ++i) {
    there->send({&packet, 1});
    const auto got = server->receive(burst);
    held.insert(held.end(), burst.begin(), burst.begin() + got);
  }
  EXPECT_GT(server->counters().stalled, 0u);
  EXPECT_EQ(server->counters().buffers_free, 0u);
  for (const received_packet& one : held)
    server->release(one.buffer);
  there->send({&packet, 1});
  EXPECT_FALSE(receive_all(*server, 1).empty());
}

TEST(udp_source, several_ports_and_both_families_are_one_source) {
  auto memory = make_arena();
  udp_source_options options;
  options.slabs = 40;
  options.listen = {{.host = "127.0.0.1", .port = 0}, {.host = "::1", .port = 0}};
  auto made = udp_source::create(memory, options);
  if (!made.ok()) GTEST_SKIP() << "no IPv6 loopback here: " << made.failure().message();
  const auto server = *std::move(made);
  udp_source_options six;
  six.slabs = 40;
  six.listen = {{.host = "::1", .port = 0}};
  const auto there = make_udp(memory, six);
  const std::vector<std::byte> bytes(10);
  const outgoing_packet packet{.bytes = bytes, .to = server->local(1)};
  EXPECT_EQ(there->send({&packet, 1}), 1u);
  const auto got = receive_all(*server, 1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].listener, 1u);
  EXPECT_EQ(got[0].from.family, 6);
}

TEST(udp_source, addresses_are_read_or_named_as_wrong) {
  EXPECT_EQ(parse_udp_address("127.0.0.1:4567")->port, 4567);
  EXPECT_EQ(parse_udp_address("[::1]:1")->host, "::1");
  for (const char* wrong :
       {"", "127.0.0.1", "localhost:1", "1.2.3.4:70000", "1.2.3.4:x", "[::1:1"}) {
    const auto got = parse_udp_address(wrong);
    ASSERT_FALSE(got.ok()) << wrong;
    EXPECT_NE(got.failure().message().find(std::string("'") + wrong), std::string::npos);
  }
  auto memory = make_arena();
  const auto taken = make_udp(memory, {.listen = {}, .slabs = 40});
  udp_source_options again;
  again.slabs = 40;
  again.listen = {{.host = "127.0.0.1", .port = taken->local(0).port}};
  const auto second = udp_source::create(memory, again);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.failure().message().find(to_string(taken->local(0))), std::string::npos);
}

TEST(memory_network, delivers_in_order_and_drops_what_has_no_room) {
  auto memory = make_arena();
  memory_network network;
  const auto a = *network.attach(memory, client_address(1), {.buffers = 4});
  const auto b = *network.attach(memory, client_address(2), {.buffers = 4, .queued_max = 8});
  EXPECT_FALSE(network.attach(memory, client_address(2), {}).ok());
  const std::vector<std::byte> bytes(10);
  const outgoing_packet packet{.bytes = bytes, .to = client_address(2)};
  for (int i = 0; i < 12; ++i)
    EXPECT_EQ(a->send({&packet, 1}), 1u);
  EXPECT_EQ(b->counters().dropped, 4u);
  std::vector<received_packet> burst(64);
  EXPECT_EQ(b->receive(burst), 4u) << "as many as it has buffers";
  EXPECT_EQ(burst[0].from, client_address(1));
  EXPECT_GT(b->counters().stalled + 1, 0u);
  for (int i = 0; i < 4; ++i)
    b->release(burst[static_cast<std::size_t>(i)].buffer);
  EXPECT_EQ(b->receive(burst), 4u);
}

std::vector<std::vector<std::byte>> payloads(std::uint32_t datagrams, std::uint32_t records) {
  std::vector<std::vector<std::byte>> all(datagrams);
  for (std::uint32_t d = 0; d < datagrams; ++d) {
    for (std::uint32_t r = 0; r < records + d % 3; ++r) {
      const auto one = make_record("k" + std::to_string(d), std::string(40 + r, 'v'));
      all[d].insert(all[d].end(), one.begin(), one.end());
    }
  }
  return all;
}

TEST(door, a_replay_fills_the_log_with_every_record_once_through_a_narrow_sink) {
  auto memory = make_arena();
  fake_sink sink;
  const cookie_maker cookies;
  auto source = *replay_source::create(memory, payloads(64, 5),
                                       {.outstanding_max = 100, .records_max = 50'000});
  replay_source& replay = *source;
  door_options options;
  options.batches.batches = 3;
  auto made = door::create({.memory = memory, .sink = sink, .cookies = cookies}, std::move(source),
                           options);
  ASSERT_TRUE(made.ok());
  door& one = **made;
  ASSERT_TRUE(one.server().open_in_process("orders", producer_id(7), {}, 0).ok());
  std::uint64_t now = 1'000'000;
  for (int i = 0; i < 200'000 && !replay.is_finished(); ++i, now += 100) {
    one.do_work(now);
    sink.is_full = i % 7 < 3;  // drops, and thus NAKs and going back
    if (i % 5 == 0) sink.commit_one();
  }
  EXPECT_TRUE(replay.is_finished());
  EXPECT_EQ(replay.records_durable(), replay.records_sent());
  std::uint64_t next = 0;
  for (const kept_record& record : sink.kept())
    ASSERT_EQ(record.number, next++);
  EXPECT_GE(next, 50'000u);
  EXPECT_EQ(one.counters().get(counter::datagrams_damaged), 0u) << "renewed checksums are right";
  sink.is_full = false;
}

TEST(door, serves_clients_on_its_own_thread_over_a_real_socket) {
  auto memory = make_arena();
  fake_sink sink;
  const cookie_maker cookies;
  auto source = make_udp(memory, {.listen = {}, .slabs = 64});
  const endpoint server = source->local(0);
  auto made =
      door::create({.memory = memory, .sink = sink, .cookies = cookies}, std::move(source), {});
  ASSERT_TRUE(made.ok());
  (*made)->start();
  const auto there = make_udp(memory, {.listen = {}, .slabs = 40});
  std::vector<std::byte> bytes(200);
  wire::datagram_header header{};
  header.type = static_cast<std::uint8_t>(wire::datagram_type::hello);
  const auto size = wire::seal_datagram(bytes.data(), header,
                                        wire::hello_payload{.client_nonce = 5, .reserved = 0},
                                        nullptr, nullptr, 100);
  const outgoing_packet packet{.bytes = byte_view(bytes).first(size), .to = server};
  EXPECT_EQ(there->send({&packet, 1}), 1u);
  const auto got = receive_all(*there, 1);
  ASSERT_EQ(got.size(), 1u);
  wire::datagram from;
  ASSERT_EQ(wire::parse_datagram(got[0].bytes, from), wire::datagram_fault::none);
  EXPECT_EQ(from.type(), wire::datagram_type::cookie);
  (*made)->stop();
}

TEST(door, a_packet_at_the_wrong_door_reaches_its_session) {
  auto memory = make_arena();
  fake_sink sink;
  const cookie_maker cookies;
  memory_network network;
  door_mesh mesh;
  std::vector<std::unique_ptr<door>> doors;
  for (std::uint32_t i = 0; i < 2; ++i) {
    auto port = *network.attach(memory, client_address(static_cast<std::uint16_t>(100 + i)),
                                {.buffers = 16});
    door_options options;
    options.server.door = i;
    options.reassemblies = 1;
    doors.push_back(
        *door::create({.memory = memory, .sink = sink, .cookies = cookies, .mesh = &mesh},
                      std::move(port), options));
  }
  const auto there = *network.attach(memory, client_address(9), {.buffers = 16});
  ASSERT_TRUE(
      doors[1]->server().open_in_process("orders", producer_id(7), client_address(9), 0).ok());
  std::uint64_t now = 1'000'000;
  std::vector<received_packet> burst(64);
  const auto round = [&] {
    now += 1'000;
    for (const auto& one : doors)
      one->do_work(now);
    sink.commit_all();
  };
  for (int i = 0; i < 5; ++i)
    round();
  ASSERT_GE(there->receive(burst), 1u);
  wire::datagram ack;
  ASSERT_EQ(wire::parse_datagram(burst[0].bytes, ack), wire::datagram_fault::none);
  EXPECT_EQ(ack.header.session_slot >> 24, 1u);
  std::vector<std::byte> bytes(300);
  const auto record = make_record("k", "by the other door");
  std::memcpy(bytes.data() + 48, record.data(), record.size());
  wire::datagram_header header{};
  header.type = static_cast<std::uint8_t>(wire::datagram_type::data);
  header.record_count = 1;
  header.session = ack.header.session;
  header.session_slot = ack.header.session_slot;
  header.packet_number = 1;
  header.payload_bytes = static_cast<std::uint32_t>(record.size());
  const auto size = wire::seal_datagram(bytes.data(), header, nullptr, nullptr);
  const outgoing_packet packet{.bytes = byte_view(bytes).first(size), .to = client_address(100)};
  there->send({&packet, 1});
  for (int i = 0; i < 5; ++i)
    round();
  ASSERT_EQ(sink.kept().size(), 1u);
  EXPECT_EQ(sink.kept()[0].data, "by the other door");
}

}  // namespace
}  // namespace millrace::test
