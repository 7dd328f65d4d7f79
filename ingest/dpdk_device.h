#pragma once
/// A DPDK port and its queues. Private to ingest/dpdk_*.cc.
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "ingest/dpdk_pool.h"
#include "ingest/frame_source.h"

struct rte_eth_dev_info;
struct rte_ring;

namespace millrace {

/// What a port is opened with.
struct port_plan {
  std::uint16_t id = 0;
  std::uint32_t mtu = 0;
  std::uint16_t receive_descriptors = 0;
  std::uint16_t transmit_descriptors = 0;
  std::vector<std::shared_ptr<packet_pool>> receive_pools;   ///< one a queue
  std::vector<std::shared_ptr<packet_pool>> transmit_pools;  ///< one a queue
  port_identity identity;                        ///< its link address is the port's answer
  std::vector<std::shared_ptr<rte_ring>> rings;  ///< of a port in memory
};

/// A configured, started port; closed with the last of its queues.
class dpdk_port {
 public:
  static result<std::shared_ptr<dpdk_port>> open(port_plan plan);

  explicit dpdk_port(port_plan plan);
  dpdk_port(const dpdk_port&) = delete;
  dpdk_port& operator=(const dpdk_port&) = delete;
  ~dpdk_port();

  const port_plan& plan() const { return plan_; }
  const std::string& driver() const { return driver_; }
  std::string name() const {
    return std::to_string(plan_.id) + (driver_.empty() ? "" : " (" + driver_ + ")");
  }

  /// Frames that the driver or the device could not take, at most 0.1 s old. Any thread.
  std::uint64_t lost() const;
  /// The driver's own counters, by its names.
  std::vector<source_statistic> statistics() const;

 private:
  status start();
  status check(const rte_eth_dev_info& info) const;
  status configure(const rte_eth_dev_info& info);
  status set_up_queues();
  void read_link_address();
  status listen_widely();

  port_plan plan_;
  std::string driver_;
  rte_device* device_ = nullptr;
  mutable std::atomic<std::uint64_t> lost_{0};
  mutable std::atomic<std::uint64_t> read_us_{0};
};

/// One receive and one transmit queue of a port, for one thread. `index` counts queues over all
/// ports: which of the user's lcores the thread runs on.
std::unique_ptr<frame_device> make_dpdk_queue(std::shared_ptr<dpdk_port> port, std::uint16_t queue,
                                              std::uint32_t index);

}  // namespace millrace
