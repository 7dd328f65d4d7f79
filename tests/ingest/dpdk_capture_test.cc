/// Replay of a packet capture (net_pcap) into a raw listener: what a mirror port would see.
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/clock.h"
#include "ingest/dpdk_port.h"
#include "ingest/net_frames.h"
#include "ingest/raw_listener.h"
#include "tests/ingest/dpdk_arguments.h"
#include "tests/ingest/fake_sink.h"

namespace millrace {
namespace {

using bytes = std::vector<std::byte>;

/// A capture file in the classic format of libpcap: Ethernet, microseconds.
class capture {
 public:
  capture()
      : path_(std::filesystem::temp_directory_path() /
              ("millrace_capture_" + std::to_string(getpid()) + ".pcap")) {
    file_ = std::fopen(path_.c_str(), "wb");
    const std::uint32_t header[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65'535, 1};
    std::fwrite(header, sizeof header, 1, file_);
  }
  ~capture() { std::filesystem::remove(path_); }

  void add(const bytes& frame) {
    const auto length = static_cast<std::uint32_t>(frame.size());
    const std::uint32_t header[4] = {1'700'000'000, count_++, length, length};
    std::fwrite(header, sizeof header, 1, file_);
    std::fwrite(frame.data(), 1, frame.size(), file_);
  }
  void close() { std::fclose(file_); }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::FILE* file_ = nullptr;
  std::uint32_t count_ = 0;
};

bytes syslog_frame(const std::string& from, std::uint16_t port, std::uint16_t vlan,
                   const std::string& text) {
  const bool is_ipv4 = from.find(':') == std::string::npos;
  const auto to_address = *parse_port_address(is_ipv4 ? "10.1.2.3/8" : "2001:db8::5/64");
  endpoint to;
  to.address = to_address.address;
  to.family = to_address.family;
  to.port = port;
  to.vlan = vlan;
  to.link = {2, 0, 0, 0, 0, 9};
  bytes frame(udp_headers_bytes(to) + text.size());
  std::memcpy(frame.data() + frame.size() - text.size(), text.data(), text.size());
  write_udp_headers(frame, {2, 0, 0, 0, 0, 1}, *parse_port_address(from + (is_ipv4 ? "/8" : "/64")),
                    33'000, to);
  return frame;
}

TEST(dpdk_capture, a_replayed_capture_becomes_records_and_its_noise_is_counted) {
  if (dpdk_version() == "none") GTEST_SKIP() << "this build has no DPDK";
  constexpr int messages = 3000;
  capture file;
  for (int i = 0; i < messages; ++i) {
    const std::string from = i % 3 == 0 ? "2001:db8::" + std::to_string(1 + i % 7)
                                        : "192.0.2." + std::to_string(1 + i % 7);
    file.add(syslog_frame(from, 514, i % 5 == 0 ? 12 : 0,
                          "<13>host app[" + std::to_string(i) + "]: line\n<14>second\n"));
  }
  bytes fragment = syslog_frame("192.0.2.1", 514, 0, "half of it");
  fragment[20] = std::byte{0x20};                                       // more fragments follow
  fragment[24] = std::byte(std::to_integer<int>(fragment[24]) + 0x20);  // its header checksum
  file.add(fragment);
  file.add(syslog_frame("192.0.2.1", 99, 0, "to another port"));
  file.add(bytes(60, std::byte{2}));
  file.add(bytes(9, std::byte{2}));
  file.close();

  auto memory = *arena::create({.bytes = 256 * limits::mib, .try_hugetlb = false});
  const auto arguments =
      std::string(test::dpdk_arguments) + " --vdev='net_pcap0,rx_pcap=" + file.path() + "'";
  auto sources = open_dpdk_ports({.eal_arguments = arguments, .listen_ports = {514}}, memory);
  ASSERT_TRUE(sources.ok()) << sources.failure().message();
  ASSERT_EQ(sources->size(), 1u);
  packet_source& source = *sources->front();
  source.adopt_thread();

  test::fake_sink sink;
  sink.add_stream("logs");
  counter_set counters;
  batch_filler filler(sink, {}, counters, nullptr);
  auto listener = raw_listener::create(*parse_raw_listener("0.0.0.0:514=logs,lines"), 8, memory,
                                       sink, filler, counters);
  ASSERT_TRUE(listener.ok());

  std::vector<received_packet> burst(limits::burst_packets_max);
  int idle = 0;
  while (idle < 100) {
    const std::uint64_t now = monotonic_us();
    const std::uint32_t count = source.receive(burst);
    for (std::uint32_t i = 0; i < count; ++i) {
      EXPECT_FALSE((*listener)->handle(burst[i], 0, now));
      source.release(burst[i].buffer);
    }
    filler.submit_due(now);
    sink.commit_all();
    filler.collect(now);
    idle = count == 0 ? idle + 1 : 0;
  }

  EXPECT_EQ(counters.get(counter::raw_records_received), 2u * messages);
  EXPECT_EQ(counters.get(counter::raw_dropped_no_room), 0u);
  const auto kept = sink.kept();
  ASSERT_EQ(kept.size(), 2u * messages);
  EXPECT_EQ(kept[0].key, "2001:db8::1");
  EXPECT_EQ(kept[0].data, "<13>host app[0]: line");
  EXPECT_EQ(kept[2 * messages - 1].data, "<14>second");
  EXPECT_EQ(kept[2].key, "192.0.2.2");
  std::uint64_t drops = 0;
  for (const auto& one : source.statistics()) {
    if (one.name == "frames_dropped_fragment" || one.name == "frames_dropped_no_listener" ||
        one.name == "frames_dropped_other_protocol" || one.name == "frames_dropped_truncated") {
      EXPECT_EQ(one.value, 1u) << one.name;
      ++drops;
    }
  }
  EXPECT_EQ(drops, 4u);
  EXPECT_EQ(source.counters().buffers_free, source.counters().buffers);
}

}  // namespace
}  // namespace millrace
