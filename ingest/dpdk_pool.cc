#include "ingest/dpdk_pool.h"

#include <algorithm>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memory.h>
#include <rte_mempool.h>

#include "base/check.h"
#include "ingest/dpdk_environment.h"
#include "ingest/dpdk_settings.h"

namespace millrace {
namespace {

constexpr std::uint32_t pool_cache_buffers = 256;

}  // namespace

result<std::shared_ptr<packet_pool>> packet_pool::create(arena& memory, std::uint32_t buffers,
                                                         std::uint32_t mtu, const char* what) {
  auto made = std::make_shared<packet_pool>();
  const std::uint64_t page = memory.page_bytes();
  MILLRACE_ASSIGN(made->region_,
                  memory.carve(align_up(pool_arena_bytes(buffers, mtu), page), page, what));
  made->page_bytes_ = page;
  made->element_bytes_ = buffer_element_bytes(mtu);
  MILLRACE_TRY(made->populate(buffers, mtu));
  return made;
}

packet_pool::~packet_pool() {
  if (pool_) rte_mempool_free(pool_);
  if (is_registered_) rte_extmem_unregister(region_.data(), region_.size());
}

status packet_pool::map_for(rte_device* device) const {
  const auto address = reinterpret_cast<std::uintptr_t>(region_.data());
  if (!device || rte_dev_dma_map(device, region_.data(), address, region_.size()) == 0) return {};
  if (rte_errno == ENOTSUP) return {};
  return dpdk_error(error_code::io, "DMA mapping of " + std::to_string(region_.size()) + " bytes",
                    rte_errno);
}

void packet_pool::unmap_for(rte_device* device) const {
  const auto address = reinterpret_cast<std::uintptr_t>(region_.data());
  if (device) rte_dev_dma_unmap(device, region_.data(), address, region_.size());
}

status packet_pool::populate(std::uint32_t buffers, std::uint32_t mtu) {
  if (rte_extmem_register(region_.data(), region_.size(), nullptr, 0, page_bytes_) != 0) {
    return dpdk_error(error_code::io, "registering packet buffers with DPDK", rte_errno);
  }
  is_registered_ = true;
  rte_pktmbuf_pool_private shape{};
  shape.mbuf_data_room_size = static_cast<std::uint16_t>(buffer_data_bytes(mtu));
  const std::uint32_t element = sizeof(rte_mbuf) + shape.mbuf_data_room_size;
  // Elements may cross pages, which would waste half of each: the addresses are virtual anyway.
  pool_ = rte_mempool_create_empty(unique_dpdk_name("pool").c_str(), buffers, element,
                                   std::min(pool_cache_buffers, buffers / 4),
                                   sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY,
                                   RTE_MEMPOOL_F_NO_SPREAD | RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (!pool_) return dpdk_error(error_code::exhausted, "a DPDK mempool", rte_errno);
  const int chosen = rte_mempool_set_ops_byname(pool_, rte_mbuf_best_mempool_ops(), nullptr);
  if (chosen != 0) return dpdk_error(error_code::io, "the DPDK mempool's driver", chosen);
  rte_pktmbuf_pool_init(pool_, &shape);
  // The last bytes stay out: a hash of many keys at once reads a little past the last one's end.
  const int added =
      rte_mempool_populate_iova(pool_, reinterpret_cast<char*>(region_.data()),
                                reinterpret_cast<std::uintptr_t>(region_.data()),
                                std::uint64_t{buffers} * element_bytes_, nullptr, nullptr);
  if (added < 0) return dpdk_error(error_code::io, "populating a DPDK mempool", added);
  MILLRACE_CHECK(static_cast<std::uint32_t>(added) == buffers, "mempool elements of another size");
  rte_mempool_obj_iter(pool_, rte_pktmbuf_init, nullptr);
  return {};
}

}  // namespace millrace
