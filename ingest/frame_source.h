#pragma once
/// A packet source over Ethernet frames: what a port of a user-space network stack needs beside the
/// driver. It reads UDP, answers ARP, neighbour discovery and echo, resolves peers that it writes
/// to first, and counts what it drops. The driver is a `frame_device`; DPDK's is in dpdk_queue.cc.
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "ingest/neighbours.h"
#include "ingest/net_frames.h"
#include "ingest/packet_source.h"

namespace millrace {

/// A frame in a buffer of its device. Received: `capacity` is 0. Claimed for sending: `length` is.
struct device_frame {
  std::byte* bytes = nullptr;
  std::uint32_t length = 0;
  std::uint32_t capacity = 0;
  std::uint64_t buffer = 0;      ///< opaque to everyone but the device
  std::uint16_t vlan = 0;        ///< received: the tag that the hardware has taken out; 0: none
  bool checksum_is_bad = false;  ///< received: the hardware found a wrong one
  bool ip_is_good = false;       ///< received: the hardware verified the IPv4 header
  bool udp_is_good = false;      ///< received: the hardware verified the UDP checksum
};

/// One queue pair of a network device. One thread.
class frame_device {
 public:
  virtual ~frame_device() = default;

  /// Up to out.size() frames. Frames that the device cannot give in one piece are dropped by it and
  /// counted in `unjoined`.
  virtual std::uint32_t receive(std::span<device_frame> out, std::uint32_t& unjoined) = 0;
  virtual void release(std::uint64_t buffer) = 0;

  /// Empty frames to send; as many as there are.
  virtual std::uint32_t claim(std::span<device_frame> out) = 0;
  /// Takes claimed frames, all of them, and returns how many of the first go out; the device frees
  /// the others. A length of 0: just free it; such frames stand last.
  virtual std::uint32_t transmit(std::span<const device_frame> frames) = 0;

  virtual void adopt_thread() {}
  /// Packets that the hardware or driver lost. Thread-safe.
  virtual std::uint64_t lost() const = 0;
  /// The driver's own counters. Thread-safe.
  virtual std::vector<source_statistic> statistics() const = 0;
  virtual std::string describe() const = 0;
};

struct frame_source_options {
  port_identity identity;
  std::vector<std::uint16_t> listen_ports;  ///< listener i is the i-th
  std::uint32_t mtu = 1500;                 ///< of the IP packet
  std::uint32_t buffers = 0;                ///< receive buffers of the device
  std::uint32_t buffer_bytes = 0;           ///< arena each of them occupies
  bool verify_udp = true;  ///< check UDP checksums in software where the device does not
};

class frame_source : public packet_source {
 public:
  frame_source(std::unique_ptr<frame_device> device, frame_source_options options);

  std::uint32_t receive(std::span<received_packet> out) override;
  void release(std::uint64_t buffer) override;
  /// A packet over the MTU, or to a peer whose link address is still being asked for, counts as
  /// sent and is lost, as on any network.
  std::uint32_t send(std::span<const outgoing_packet> packets) override;
  int poll_fd() const override { return -1; }
  void adopt_thread() override { device_->adopt_thread(); }
  std::uint32_t datagram_bytes_max() const override;
  source_counters counters() const override;
  std::vector<source_statistic> statistics() const override;
  std::string describe() const override { return device_->describe(); }

 private:
  /// Written by the source's thread, read by any.
  struct cell {
    std::atomic<std::uint64_t> value{0};
    void add(std::uint64_t n) {
      value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    std::uint64_t get() const { return value.load(std::memory_order_relaxed); }
  };

  bool accept(const device_frame& frame, received_packet& out);
  void answer(const device_frame& frame, const parsed_frame& parsed);
  void drop(frame_drop why) { drops_[static_cast<std::size_t>(why)].add(1); }
  int find_listener(std::uint16_t port) const;
  const port_address* local_address(const endpoint& to) const;
  std::uint32_t write(const outgoing_packet& packet, device_frame& frame, std::uint64_t now_us);

  std::unique_ptr<frame_device> device_;
  frame_source_options options_;
  neighbour_table neighbours_;
  std::array<device_frame, limits::burst_packets_max> frames_;
  cell held_;
  cell stalled_;
  cell answered_;
  cell resolving_;
  cell unsendable_;
  std::array<cell, static_cast<std::size_t>(frame_drop::count)> drops_;
};

}  // namespace millrace
