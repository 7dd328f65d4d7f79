#pragma once
/// DPDK ports as packet sources: any poll-mode driver, chosen by EAL arguments (docs/dpdk.md).
/// Frames land in our arena; each receive queue is a source of its own, for one thread. A build
/// without DPDK has the same functions, which answer `unsupported`.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/error.h"
#include "ingest/packet_source.h"

namespace millrace {

enum class udp_checksums : std::uint8_t {
  automatic,  ///< verify, but not on software drivers, which pass on frames of local senders whose
              ///< checksum was never computed (CHECKSUM_PARTIAL)
  verify,
  ignore,
};

struct dpdk_options {
  /// As on a DPDK program's command line, quotes allowed: "--no-huge -m 256 --vdev=net_pcap0,…".
  std::string eal_arguments{};
  /// "192.0.2.1/24", "2001:db8::1/64", for port 0; "…@1" for port 1. None at all: the ports are
  /// passive, they take datagrams addressed to anyone, and neither answer nor send.
  std::vector<std::string> addresses{};
  std::vector<std::uint16_t> listen_ports{};  ///< UDP; listener i is the i-th
  std::uint32_t queues = 1;                   ///< receive queues of each port
  std::uint32_t mtu = 1500;                   ///< 1280 to 9000
  std::uint32_t buffers = 16 * 1024;          ///< receive buffers of each queue
  std::uint32_t receive_descriptors = 1024;
  std::uint32_t transmit_descriptors = 1024;
  udp_checksums checksums = udp_checksums::automatic;
};

/// "DPDK 22.11.11", or "none".
std::string dpdk_version();

/// Arena that one queue of these options takes.
std::uint64_t dpdk_queue_arena_bytes(const dpdk_options& options);

/// Starts DPDK's environment in this process, which can be done once; again with the same arguments
/// does nothing. Its threads take no signals, and the caller's CPU affinity stays as it is.
/// `invalid_argument` when the arguments do not parse or DPDK refuses them, with its own words.
status start_dpdk(std::string_view eal_arguments);

/// Starts DPDK if need be and opens every port it found that is not open yet: queues of port 0,
/// then of port 1, …. `not_found` when there is none. The arena and what is held in batches must
/// outlive the sources; all of a port's sources together close it.
result<std::vector<std::unique_ptr<packet_source>>> open_dpdk_ports(const dpdk_options& options,
                                                                    arena& memory);

/// Two ports joined back to back in memory (net_ring), frames handed over without a copy: a server
/// with an in-process producer, for tests and benchmarks. start_dpdk() comes first.
struct dpdk_ring_pair {
  std::unique_ptr<packet_source> server;
  std::unique_ptr<packet_source> client;
  endpoint server_address;  ///< where the client sends to; resolved by ARP as on a wire
};
struct dpdk_ring_options {
  std::string server_address = "192.0.2.1/24";
  std::string client_address = "192.0.2.2/24";
  std::vector<std::uint16_t> server_ports{4567};
  std::uint16_t client_port = 50'000;
  std::uint32_t mtu = 9000;
  std::uint32_t buffers = 4096;      ///< that the client sends from and the server holds
  std::uint32_t ring_frames = 1024;  ///< in flight each way; a power of two
};
std::uint64_t dpdk_ring_arena_bytes(const dpdk_ring_options& options);
result<dpdk_ring_pair> open_dpdk_ring_pair(const dpdk_ring_options& options, arena& memory);

}  // namespace millrace
