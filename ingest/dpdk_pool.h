#pragma once
/// Packet buffers that a port receives into or sends from. Private to ingest/dpdk_*.cc.
#include <cstdint>
#include <memory>

#include "base/arena.h"
#include "base/error.h"
#include "base/types.h"

struct rte_device;
struct rte_mempool;

namespace millrace {

/// An ordinary mempool of mbufs, headers and data both, in a piece of our arena, which outlives it.
class packet_pool {
 public:
  static result<std::shared_ptr<packet_pool>> create(arena& memory, std::uint32_t buffers,
                                                     std::uint32_t mtu, const char* what);

  packet_pool() = default;
  packet_pool(const packet_pool&) = delete;
  packet_pool& operator=(const packet_pool&) = delete;
  ~packet_pool();

  rte_mempool* get() const { return pool_; }
  std::uint32_t element_bytes() const { return element_bytes_; }

  /// Lets the device reach the memory; software devices need no leave.
  status map_for(rte_device* device) const;
  void unmap_for(rte_device* device) const;

 private:
  status populate(std::uint32_t buffers, std::uint32_t mtu);

  mutable_byte_view region_;
  rte_mempool* pool_ = nullptr;
  std::uint64_t page_bytes_ = 0;
  std::uint32_t element_bytes_ = 0;
  bool is_registered_ = false;
};

}  // namespace millrace
