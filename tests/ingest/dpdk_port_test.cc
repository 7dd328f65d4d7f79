#include "ingest/dpdk_port.h"

#include <cstdlib>
#include <cstring>
#include <optional>
#include <set>

#include <gtest/gtest.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/limits.h"
#include "tests/ingest/dpdk_arguments.h"

namespace millrace {
namespace {

using test::dpdk_arguments;

arena make_arena(std::uint64_t bytes) {
  auto made = arena::create({.bytes = bytes, .try_hugetlb = false});
  EXPECT_TRUE(made.ok());
  return std::move(*made);
}

class dpdk_port_test : public testing::Test {
 protected:
  void SetUp() override {
    if (dpdk_version() == "none") GTEST_SKIP() << "this build has no DPDK";
    const status started = start_dpdk(dpdk_arguments);
    ASSERT_TRUE(started.ok()) << started.failure().message();
  }

  void open(const dpdk_ring_options& options) {
    memory_ = make_arena(dpdk_ring_arena_bytes(options));
    auto pair = open_dpdk_ring_pair(options, *memory_);
    ASSERT_TRUE(pair.ok()) << pair.failure().message();
    pair_ = std::move(*pair);
    pair_.server->adopt_thread();
  }

  static outgoing_packet packet(const std::string& text, const endpoint& to) {
    return {.bytes = {reinterpret_cast<const std::byte*>(text.data()), text.size()}, .to = to};
  }

  std::vector<received_packet> take(packet_source& from) {
    std::vector<received_packet> out(limits::burst_packets_max);
    out.resize(from.receive(out));
    return out;
  }

  /// Both ends work until the server knows the client's question and the client the answer.
  void resolve() {
    std::uint32_t tries = 0;
    for (; tries < 10; ++tries) {
      EXPECT_EQ(pair_.client->send(std::vector{packet("?", pair_.server_address)}), 1u);
      const auto heard = take(*pair_.server);
      for (const auto& one : heard)
        pair_.server->release(one.buffer);
      if (!heard.empty()) return;
      EXPECT_TRUE(take(*pair_.client).empty());
    }
    FAIL() << "the server's address was not resolved";
  }

  static std::string text_of(const received_packet& of) {
    return {reinterpret_cast<const char*>(of.bytes.data()), of.bytes.size()};
  }

  static std::uint64_t statistic(const packet_source& of, const std::string& name) {
    for (const auto& one : of.statistics())
      if (one.name == name) return one.value;
    ADD_FAILURE() << "no statistic " << name;
    return 0;
  }

  std::optional<arena> memory_;
  dpdk_ring_pair pair_;
};

TEST_F(dpdk_port_test, datagrams_cross_a_ring_pair_both_ways) {
  open({});
  resolve();
  EXPECT_EQ(statistic(*pair_.server, "frames_answered"), 1u) << "one ARP request";
  for (const std::size_t length : {0, 1, 17, 1472, 8972}) {
    const std::string text(length, 'q');
    ASSERT_EQ(pair_.client->send(std::vector{packet(text, pair_.server_address)}), 1u);
    const auto heard = take(*pair_.server);
    ASSERT_EQ(heard.size(), 1u);
    EXPECT_EQ(text_of(heard[0]), text);
    EXPECT_EQ(heard[0].from.port, 50'000);
    EXPECT_EQ(heard[0].listener, 0);
    // Answered as a door would: to where it came from.
    ASSERT_EQ(pair_.server->send(std::vector{packet("yes", heard[0].from)}), 1u);
    pair_.server->release(heard[0].buffer);
    const auto answers = take(*pair_.client);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(text_of(answers[0]), "yes");
    EXPECT_EQ(answers[0].from.port, 4567);
    pair_.client->release(answers[0].buffer);
  }
}

TEST_F(dpdk_port_test, ipv6_is_resolved_by_neighbour_discovery) {
  open({.server_address = "2001:db8::1/64", .client_address = "2001:db8::2/64"});
  resolve();
  EXPECT_EQ(statistic(*pair_.server, "frames_answered"), 1u);
  EXPECT_EQ(pair_.server->datagram_bytes_max(), 9000u - 48);
}

TEST_F(dpdk_port_test, received_bytes_lie_in_the_arena_until_they_are_released) {
  open({.buffers = 256});
  resolve();
  std::vector<received_packet> held;
  std::set<std::uint64_t> buffers;
  std::uint32_t number = 0;
  while (true) {
    const std::string text = "packet " + std::to_string(number);
    if (pair_.client->send(std::vector{packet(text, pair_.server_address)}) == 0) break;
    for (const auto& one : take(*pair_.server)) {
      EXPECT_GE(one.bytes.data(), memory_->base());
      EXPECT_LE(one.bytes.data() + one.bytes.size(), memory_->base() + memory_->bytes());
      EXPECT_TRUE(buffers.insert(one.buffer).second);
      held.push_back(one);
    }
    ++number;
    ASSERT_LE(number, 256u);
  }
  // The client has nothing left to send from: what is held is what it is waiting for.
  EXPECT_EQ(held.size(), number);
  EXPECT_GT(number, 200u);
  EXPECT_EQ(pair_.server->counters().buffers, 256u);
  EXPECT_EQ(pair_.server->counters().buffers_free, 256u - held.size());
  for (std::size_t i = 0; i < held.size(); ++i) {
    EXPECT_EQ(text_of(held[i]), "packet " + std::to_string(i));
    EXPECT_GE(held[i].buffer_bytes, 9000u);
    pair_.server->release(held[i].buffer);
  }
  EXPECT_EQ(pair_.server->counters().buffers_free, 256u);
  EXPECT_EQ(pair_.client->send(std::vector{packet("again", pair_.server_address)}), 1u);
}

TEST_F(dpdk_port_test, a_full_ring_takes_no_more_and_loses_nothing) {
  open({.buffers = 1024, .ring_frames = 64});
  resolve();
  const std::string text = "x";
  const std::vector burst(100, packet(text, pair_.server_address));
  const std::uint32_t sent = pair_.client->send(burst);
  EXPECT_EQ(sent, 63u) << "a ring holds one frame less than its size";
  std::size_t heard = 0;
  for (int i = 0; i < 4; ++i) {
    for (const auto& one : take(*pair_.server)) {
      pair_.server->release(one.buffer);
      ++heard;
    }
  }
  EXPECT_EQ(heard, sent);
  EXPECT_EQ(pair_.server->counters().dropped, 0u);
}

TEST_F(dpdk_port_test, a_datagram_over_the_mtu_is_lost_and_counted) {
  open({.mtu = 1500});
  resolve();
  EXPECT_EQ(pair_.client->datagram_bytes_max(), 1472u);
  const std::string fits(1472, 'a'), too_long(1473, 'b');
  EXPECT_EQ(pair_.client->send(std::vector{packet(too_long, pair_.server_address),
                                           packet(fits, pair_.server_address)}),
            2u);
  const auto heard = take(*pair_.server);
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(text_of(heard[0]), fits);
  EXPECT_EQ(statistic(*pair_.client, "packets_unsendable"), 1u);
  pair_.server->release(heard[0].buffer);
}

TEST_F(dpdk_port_test, each_listen_port_is_a_listener_and_others_are_dropped) {
  open({.server_ports = {4567, 5514}});
  resolve();
  endpoint to = pair_.server_address;
  to.port = 5514;
  EXPECT_EQ(pair_.client->send(std::vector{packet("raw", to)}), 1u);
  to.port = 9;
  EXPECT_EQ(pair_.client->send(std::vector{packet("lost", to)}), 1u);
  const auto heard = take(*pair_.server);
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].listener, 1);
  EXPECT_EQ(statistic(*pair_.server, "frames_dropped_no_listener"), 1u);
  pair_.server->release(heard[0].buffer);
}

TEST_F(dpdk_port_test, the_drivers_own_counters_are_among_the_statistics) {
  open({});
  resolve();
  EXPECT_GE(statistic(*pair_.server, "rx_good_packets"), 2u);
  EXPECT_EQ(pair_.server->describe().substr(0, 9), "dpdk port");
  EXPECT_NE(pair_.server->describe().find("(net_ring) queue 0"), std::string::npos)
      << pair_.server->describe();
}

TEST_F(dpdk_port_test, ports_close_and_others_open) {
  for (int round = 0; round < 3; ++round) {
    open({});
    resolve();
    pair_ = {};
  }
}

TEST_F(dpdk_port_test, an_arena_too_small_is_named) {
  arena small = make_arena(2 * limits::mib);
  const auto pair = open_dpdk_ring_pair({}, small);
  ASSERT_FALSE(pair.ok());
  EXPECT_EQ(pair.failure().code(), error_code::exhausted);
  EXPECT_NE(pair.failure().message().find("net_ring buffers"), std::string::npos);
}

TEST_F(dpdk_port_test, starting_again_needs_the_same_arguments) {
  EXPECT_TRUE(start_dpdk(dpdk_arguments).ok());
  const status other = start_dpdk("--no-huge -m 64");
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.failure().code(), error_code::already_exists);
}

TEST_F(dpdk_port_test, without_a_device_there_is_no_port) {
  arena memory = make_arena(64 * limits::mib);
  const auto sources =
      open_dpdk_ports({.eal_arguments = dpdk_arguments, .listen_ports = {4567}}, memory);
  ASSERT_FALSE(sources.ok());
  EXPECT_EQ(sources.failure().code(), error_code::not_found);
}

/// Starts DPDK in a process of its own, since it starts once; prints the error.
void start_and_tell(const char* arguments) {
  const status started = start_dpdk(arguments);
  if (!started.ok()) std::fprintf(stderr, "%s", started.failure().message().c_str());
  std::_Exit(started.ok() ? 0 : 1);
}

TEST(dpdk_start, says_in_dpdks_own_words_what_it_does_not_like) {
  if (dpdk_version() == "none") GTEST_SKIP() << "this build has no DPDK";
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto failed = testing::ExitedWithCode(1);
  EXPECT_EXIT(start_and_tell("--no-such-option"), failed, "'--no-such-option'");
  EXPECT_EXIT(start_and_tell("--no-huge -m 64 --no-pci --no-shconf --vdev=net_none0"), failed,
              "net_none0");
  EXPECT_EXIT(start_and_tell("--help"), failed, "'--help' has no use here");
  EXPECT_EXIT(start_and_tell("--vdev='net_ring0"), failed, "unclosed '");
}

/// Two ports of two queues each, in a process of its own.
void open_and_tell(const char* arguments, std::vector<std::string> addresses) {
  {
    arena memory = make_arena(512 * limits::mib);
    auto sources = open_dpdk_ports({.eal_arguments = arguments,
                                    .addresses = std::move(addresses),
                                    .listen_ports = {4567},
                                    .queues = 2},
                                   memory);
    if (!sources.ok()) {
      std::fprintf(stderr, "%s", sources.failure().message().c_str());
      std::_Exit(1);
    }
    std::vector<received_packet> burst(limits::burst_packets_max);
    for (const auto& source : *sources) {
      std::fprintf(stderr, "%s; ", source->describe().c_str());
      source->adopt_thread();
      for (int i = 0; i < 100; ++i)
        if (source->receive(burst) != 0) std::_Exit(2);
      if (source->counters().buffers_free != source->counters().buffers) std::_Exit(3);
    }
  }
  std::exit(0);  // the ports are closed, DPDK ends in order
}

TEST(dpdk_start, opens_every_queue_of_every_port) {
  if (dpdk_version() == "none") GTEST_SKIP() << "this build has no DPDK";
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const std::string arguments =
      std::string(dpdk_arguments) + " --vdev=net_null0,size=64 --vdev=net_null1,size=64";
  EXPECT_EXIT(open_and_tell(arguments.c_str(), {"192.0.2.1/24", "198.51.100.1/24@1"}),
              testing::ExitedWithCode(0),
              "port 0 .net_null. queue 0; .*port 0 .net_null. queue 1; .*"
              "port 1 .net_null. queue 0; .*port 1 .net_null. queue 1; ");
  EXPECT_EXIT(open_and_tell(arguments.c_str(), {"192.0.2.1/24"}), testing::ExitedWithCode(1),
              "DPDK port 1 has no address, others have");
}

void start_and_compare_affinity() {
  cpu_set_t before;
  cpu_set_t after;
  pthread_getaffinity_np(pthread_self(), sizeof before, &before);
  const bool ok = start_dpdk(dpdk_arguments).ok();
  pthread_getaffinity_np(pthread_self(), sizeof after, &after);
  std::_Exit(ok && CPU_EQUAL(&before, &after) ? 0 : 1);
}

TEST(dpdk_start, leaves_the_callers_affinity_alone) {
  if (dpdk_version() == "none") GTEST_SKIP() << "this build has no DPDK";
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(start_and_compare_affinity(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace millrace
