// The one file that speaks to DPDK. What frames mean is frame_source's business; what settings
// mean, dpdk_settings'.
#include "ingest/dpdk_port.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>

#include <pthread.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memory.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_version.h>
#include <signal.h>

#include "base/check.h"
#include "base/clock.h"
#include "ingest/dpdk_settings.h"
#include "ingest/frame_source.h"

namespace millrace {
namespace {

constexpr std::uint32_t pool_cache_buffers = 256;
/// Port statistics of real hardware take microseconds to read.
constexpr std::uint64_t statistics_interval_us = 100'000;

error dpdk_error(error_code code, const std::string& what, int errno_value) {
  return error(code, what + ": " + rte_strerror(errno_value < 0 ? -errno_value : errno_value));
}

// --- the environment -------------------------------------------------------------------------

struct environment {
  std::recursive_mutex mutex;  ///< a port that fails to open closes under it
  std::optional<status> started;
  std::string arguments;
  std::vector<std::string> words;  ///< the EAL keeps pointers into them
  bool pins_threads = false;
  std::vector<std::uint16_t> open_ports;
  std::uint32_t names = 0;  ///< for objects that DPDK wants named
};

environment& eal() {
  static auto* const one = new environment;  // DPDK's threads outlive main()
  return *one;
}

std::string unique_name(const char* what) {
  return "millrace_" + std::string(what) + std::to_string(eal().names++);
}

/// The last lines that the EAL logged: its own words for what it did not like.
std::string last_words(std::string_view log) {
  while (log.ends_with('\n'))
    log.remove_suffix(1);
  std::size_t from = log.size();
  for (int lines = 0; lines < 2 && from != std::string_view::npos; ++lines) {
    from = from == 0 ? std::string_view::npos : log.rfind('\n', from - 1);
  }
  std::string out(from == std::string_view::npos ? log : log.substr(from + 1));
  std::ranges::replace(out, '\n', ' ');
  return out;
}

/// On a thread of its own: the EAL binds its caller to one CPU, and its threads inherit the
/// caller's signal mask.
int init_on_this_thread(std::vector<std::string>& words, std::string& log) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::vector<char*> argv;
  for (std::string& word : words)
    argv.push_back(word.data());
  char* text = nullptr;
  std::size_t bytes = 0;
  FILE* stream = open_memstream(&text, &bytes);
  if (stream) rte_openlog_stream(stream);
  const int done = rte_eal_init(static_cast<int>(argv.size()), argv.data());
  const int failure = rte_errno;
  rte_openlog_stream(nullptr);
  if (stream) {
    std::fclose(stream);
    log.assign(text, bytes);
    std::free(text);
  }
  return done < 0 ? (failure == 0 ? EINVAL : failure) : 0;
}

/// Takes DPDK's files and huge pages away with the process.
void clean_up_at_exit() {
  std::lock_guard lock(eal().mutex);
  if (eal().open_ports.empty()) rte_eal_cleanup();
}

status init_environment(std::string_view arguments) {
  environment& one = eal();
  MILLRACE_ASSIGN(one.words, eal_command_line(arguments));
  one.pins_threads = names_lcores(one.words);
  int failure = 0;
  std::string log;
  std::thread([&] { failure = init_on_this_thread(one.words, log); }).join();
  if (failure != 0) {
    return dpdk_error(
        error_code::invalid_argument,
        "DPDK does not start with '" + std::string(arguments) + "': " + last_words(log), failure);
  }
  std::atexit(clean_up_at_exit);
  if (rte_eal_iova_mode() != RTE_IOVA_VA) {
    return error(error_code::unsupported,
                 "DPDK uses physical addresses, Millrace's arena has only virtual ones: enable the "
                 "IOMMU and give --iova-mode=va");
  }
  return {};
}

/// Joins the thread to DPDK's lcores, so that pools cache for it; leaves with the thread.
class thread_membership {
 public:
  thread_membership() {
    if (rte_lcore_id() == LCORE_ID_ANY) joined_ = rte_thread_register() == 0;
  }
  ~thread_membership() {
    if (joined_) rte_thread_unregister();
  }
  thread_membership(const thread_membership&) = delete;
  thread_membership& operator=(const thread_membership&) = delete;

 private:
  bool joined_ = false;
};

/// Binds the thread to the CPUs of the index-th lcore that the user named.
void pin_thread(std::uint32_t index) {
  std::uint32_t lcore = 0;
  RTE_LCORE_FOREACH(lcore) {
    if (index-- > 0) continue;
    const rte_cpuset_t cpus = rte_lcore_cpuset(lcore);
    pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
    return;
  }
}

// --- memory ----------------------------------------------------------------------------------

/// An ordinary mempool of mbufs, headers and data both, in a piece of our arena.
class packet_pool {
 public:
  static result<std::shared_ptr<packet_pool>> create(arena& memory, std::uint32_t buffers,
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

  packet_pool() = default;
  packet_pool(const packet_pool&) = delete;
  packet_pool& operator=(const packet_pool&) = delete;
  ~packet_pool() {
    if (pool_) rte_mempool_free(pool_);
    if (is_registered_) rte_extmem_unregister(region_.data(), region_.size());
  }

  rte_mempool* get() const { return pool_; }
  std::uint32_t element_bytes() const { return element_bytes_; }

  /// Lets the device reach the memory; software devices need no leave.
  status map_for(rte_device* device) const {
    const auto address = reinterpret_cast<std::uintptr_t>(region_.data());
    if (!device || rte_dev_dma_map(device, region_.data(), address, region_.size()) == 0) return {};
    if (rte_errno == ENOTSUP) return {};
    return dpdk_error(error_code::io, "DMA mapping of " + std::to_string(region_.size()) + " bytes",
                      rte_errno);
  }
  void unmap_for(rte_device* device) const {
    const auto address = reinterpret_cast<std::uintptr_t>(region_.data());
    if (device) rte_dev_dma_unmap(device, region_.data(), address, region_.size());
  }

 private:
  status populate(std::uint32_t buffers, std::uint32_t mtu) {
    if (rte_extmem_register(region_.data(), region_.size(), nullptr, 0, page_bytes_) != 0) {
      return dpdk_error(error_code::io, "registering packet buffers with DPDK", rte_errno);
    }
    is_registered_ = true;
    rte_pktmbuf_pool_private shape{};
    shape.mbuf_data_room_size = static_cast<std::uint16_t>(buffer_data_bytes(mtu));
    const std::uint32_t element = sizeof(rte_mbuf) + shape.mbuf_data_room_size;
    // Elements may cross pages, which would waste half of each: the addresses are virtual anyway.
    pool_ = rte_mempool_create_empty(unique_name("pool").c_str(), buffers, element,
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
    MILLRACE_CHECK(static_cast<std::uint32_t>(added) == buffers,
                   "mempool elements of another size");
    rte_mempool_obj_iter(pool_, rte_pktmbuf_init, nullptr);
    return {};
  }

  mutable_byte_view region_;
  rte_mempool* pool_ = nullptr;
  std::uint64_t page_bytes_ = 0;
  std::uint32_t element_bytes_ = 0;
  bool is_registered_ = false;
};

// --- a port ----------------------------------------------------------------------------------

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
  static result<std::shared_ptr<dpdk_port>> open(port_plan plan) {
    auto made = std::make_shared<dpdk_port>(std::move(plan));
    const status started = made->start();
    if (!started.ok()) {
      return error(started.failure()).with_context("DPDK port " + made->name());
    }
    return made;
  }

  explicit dpdk_port(port_plan plan) : plan_(std::move(plan)) {
    eal().open_ports.push_back(plan_.id);
  }
  dpdk_port(const dpdk_port&) = delete;
  dpdk_port& operator=(const dpdk_port&) = delete;
  ~dpdk_port() {
    rte_eth_dev_stop(plan_.id);
    rte_eth_dev_close(plan_.id);
    for (const auto& pool : plan_.receive_pools)
      pool->unmap_for(device_);
    for (const auto& pool : plan_.transmit_pools)
      pool->unmap_for(device_);
    std::lock_guard lock(eal().mutex);
    std::erase(eal().open_ports, plan_.id);
  }

  const port_plan& plan() const { return plan_; }
  const std::string& driver() const { return driver_; }
  std::string name() const {
    return std::to_string(plan_.id) + (driver_.empty() ? "" : " (" + driver_ + ")");
  }

  std::uint64_t lost() const {
    const std::uint64_t now = monotonic_us();
    if (now - read_us_.load(std::memory_order_relaxed) >= statistics_interval_us) {
      rte_eth_stats stats{};
      if (rte_eth_stats_get(plan_.id, &stats) == 0) {
        lost_.store(stats.imissed + stats.ierrors + stats.rx_nombuf, std::memory_order_relaxed);
      }
      read_us_.store(now, std::memory_order_relaxed);
    }
    return lost_.load(std::memory_order_relaxed);
  }

  std::vector<source_statistic> statistics() const {
    const int count = rte_eth_xstats_get_names(plan_.id, nullptr, 0);
    if (count <= 0) return {};
    std::vector<rte_eth_xstat_name> names(static_cast<std::size_t>(count));
    std::vector<rte_eth_xstat> values(names.size());
    const auto size = static_cast<unsigned>(count);
    if (rte_eth_xstats_get_names(plan_.id, names.data(), size) != count ||
        rte_eth_xstats_get(plan_.id, values.data(), size) != count) {
      return {};
    }
    std::vector<source_statistic> out;
    for (const rte_eth_xstat& one : values)
      out.push_back({names[one.id].name, one.value});
    return out;
  }

 private:
  status start() {
    rte_eth_dev_info info{};
    if (const int failed = rte_eth_dev_info_get(plan_.id, &info)) {
      return dpdk_error(error_code::io, "reading its description", failed);
    }
    driver_ = info.driver_name;
    device_ = info.device;
    MILLRACE_TRY(check(info));
    for (const auto& pool : plan_.receive_pools)
      MILLRACE_TRY(pool->map_for(device_));
    for (const auto& pool : plan_.transmit_pools)
      MILLRACE_TRY(pool->map_for(device_));
    MILLRACE_TRY(configure(info));
    MILLRACE_TRY(set_up_queues());
    read_link_address();
    if (const int failed = rte_eth_dev_start(plan_.id)) {
      return dpdk_error(error_code::io, "starting it", failed);
    }
    return listen_widely();
  }

  status check(const rte_eth_dev_info& info) const {
    const auto refuse = [](const char* what, std::size_t value, std::size_t limit) {
      return error(error_code::invalid_argument, std::string(what) + " " + std::to_string(value) +
                                                     " over its limit of " + std::to_string(limit));
    };
    const std::size_t queues = plan_.receive_pools.size();
    if (queues > info.max_rx_queues) return refuse("receive queues", queues, info.max_rx_queues);
    if (queues > info.max_tx_queues) return refuse("transmit queues", queues, info.max_tx_queues);
    if (plan_.mtu > info.max_mtu) return refuse("mtu", plan_.mtu, info.max_mtu);
    return {};
  }

  status configure(const rte_eth_dev_info& info) {
    const auto queues = static_cast<std::uint16_t>(plan_.receive_pools.size());
    rte_eth_conf conf{};
    conf.rxmode.mtu = plan_.mtu;
    conf.rxmode.offloads =
        info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
    // Safe here: what a queue sends comes from its one pool and is referred to once.
    conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    const std::uint64_t spread =
        info.flow_type_rss_offloads & (RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP);
    if (queues > 1 && spread != 0) {
      conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
      conf.rx_adv_conf.rss_conf.rss_hf = spread;
    }
    if (const int failed = rte_eth_dev_configure(plan_.id, queues, queues, &conf)) {
      return dpdk_error(error_code::io,
                        "configuring " + std::to_string(queues) + " queues and an MTU of " +
                            std::to_string(plan_.mtu),
                        failed);
    }
    return {};
  }

  status set_up_queues() {
    std::uint16_t receive = plan_.receive_descriptors;
    std::uint16_t transmit = plan_.transmit_descriptors;
    if (const int failed = rte_eth_dev_adjust_nb_rx_tx_desc(plan_.id, &receive, &transmit)) {
      return dpdk_error(error_code::io, "its descriptors", failed);
    }
    const auto socket = static_cast<unsigned>(rte_eth_dev_socket_id(plan_.id));
    for (std::uint16_t queue = 0; queue < plan_.receive_pools.size(); ++queue) {
      int failed = rte_eth_rx_queue_setup(plan_.id, queue, receive, socket, nullptr,
                                          plan_.receive_pools[queue]->get());
      if (failed == 0) {
        failed = rte_eth_tx_queue_setup(plan_.id, queue, transmit, socket, nullptr);
      }
      if (failed != 0) {
        return dpdk_error(error_code::io, "setting up queue " + std::to_string(queue), failed);
      }
    }
    return {};
  }

  void read_link_address() {
    rte_ether_addr link{};
    if (rte_eth_macaddr_get(plan_.id, &link) == 0 && !rte_is_zero_ether_addr(&link)) {
      std::copy_n(link.addr_bytes, plan_.identity.link.size(), plan_.identity.link.begin());
      return;
    }
    // Ports in memory have none: a locally administered one, so that ARP has something to tell.
    plan_.identity.link = {0x02,
                           0x4d,
                           0x52,
                           0,
                           static_cast<std::uint8_t>(plan_.id >> 8),
                           static_cast<std::uint8_t>(plan_.id)};
  }

  /// A passive port hears everything; neighbour solicitations come to group addresses.
  status listen_widely() {
    const auto& own = plan_.identity.addresses;
    const bool has_ipv6 = std::ranges::any_of(own, [](const auto& a) { return a.family == 6; });
    int failed = 0;
    if (has_ipv6) failed = rte_eth_allmulticast_enable(plan_.id);
    if (plan_.identity.passive() || failed != 0) failed = rte_eth_promiscuous_enable(plan_.id);
    // Software drivers that cannot be told deliver everything anyway.
    if (failed != 0 && failed != -ENOTSUP) {
      return dpdk_error(error_code::io, "promiscuous mode", failed);
    }
    return {};
  }

  port_plan plan_;
  std::string driver_;
  rte_device* device_ = nullptr;
  mutable std::atomic<std::uint64_t> lost_{0};
  mutable std::atomic<std::uint64_t> read_us_{0};
};

class dpdk_queue : public frame_device {
 public:
  /// `index` counts queues over all ports: which of the user's lcores the thread runs on.
  dpdk_queue(std::shared_ptr<dpdk_port> port, std::uint16_t queue, std::uint32_t index)
      : port_(std::move(port)),
        port_id_(port_->plan().id),
        queue_(queue),
        index_(index),
        transmit_pool_(port_->plan().transmit_pools[queue]->get()) {}

  std::uint32_t receive(std::span<device_frame> out, std::uint32_t& unjoined) override {
    std::array<rte_mbuf*, limits::burst_packets_max> burst;
    const auto wanted = static_cast<std::uint16_t>(std::min(out.size(), burst.size()));
    const std::uint16_t count = rte_eth_rx_burst(port_id_, queue_, burst.data(), wanted);
    std::uint32_t taken = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
      rte_mbuf* const mbuf = burst[i];
      if (mbuf->nb_segs > 1 && rte_pktmbuf_linearize(mbuf) != 0) {
        rte_pktmbuf_free(mbuf);
        ++unjoined;
        continue;
      }
      fill(*mbuf, out[taken++]);
    }
    return taken;
  }

  void release(std::uint64_t buffer) override {
    rte_pktmbuf_free(reinterpret_cast<rte_mbuf*>(buffer));
  }

  std::uint32_t claim(std::span<device_frame> out) override {
    std::array<rte_mbuf*, limits::burst_packets_max> burst;
    auto count = static_cast<unsigned>(std::min(out.size(), burst.size()));
    // All or none at a time: with fewer left, fewer are asked for.
    while (count > 0 && rte_pktmbuf_alloc_bulk(transmit_pool_, burst.data(), count) != 0)
      count /= 2;
    for (unsigned i = 0; i < count; ++i) {
      out[i].bytes = rte_pktmbuf_mtod(burst[i], std::byte*);
      out[i].capacity = rte_pktmbuf_tailroom(burst[i]);
      out[i].length = 0;
      out[i].buffer = reinterpret_cast<std::uintptr_t>(burst[i]);
    }
    return count;
  }

  std::uint32_t transmit(std::span<const device_frame> frames) override {
    std::array<rte_mbuf*, limits::burst_packets_max> burst;
    MILLRACE_CHECK(frames.size() <= burst.size(), "more frames than a burst");
    std::uint16_t filled = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      burst[i] = reinterpret_cast<rte_mbuf*>(frames[i].buffer);
      if (frames[i].length == 0) continue;
      burst[i]->data_len = static_cast<std::uint16_t>(frames[i].length);
      burst[i]->pkt_len = frames[i].length;
      ++filled;
    }
    const std::uint16_t sent =
        filled > 0 ? rte_eth_tx_burst(port_id_, queue_, burst.data(), filled) : filled;
    for (std::size_t i = sent; i < frames.size(); ++i)
      rte_pktmbuf_free(burst[i]);
    return sent;
  }

  void adopt_thread() override {
    thread_local const thread_membership membership;
    if (eal().pins_threads) pin_thread(index_);
  }

  // Drivers count per port; the first queue speaks for all.
  std::uint64_t lost() const override { return queue_ == 0 ? port_->lost() : 0; }
  std::vector<source_statistic> statistics() const override {
    return queue_ == 0 ? port_->statistics() : std::vector<source_statistic>();
  }
  std::string describe() const override {
    return "dpdk port " + port_->name() + " queue " + std::to_string(queue_);
  }

 private:
  static void fill(rte_mbuf& mbuf, device_frame& out) {
    const std::uint64_t flags = mbuf.ol_flags;
    const std::uint64_t ip = flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    const std::uint64_t udp = flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    out.bytes = rte_pktmbuf_mtod(&mbuf, std::byte*);
    out.length = mbuf.data_len;
    out.capacity = 0;
    out.buffer = reinterpret_cast<std::uintptr_t>(&mbuf);
    out.vlan = (flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 ? mbuf.vlan_tci : std::uint16_t{0};
    out.checksum_is_bad = ip == RTE_MBUF_F_RX_IP_CKSUM_BAD || udp == RTE_MBUF_F_RX_L4_CKSUM_BAD;
    out.ip_is_good = ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    out.udp_is_good = udp == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  }

  std::shared_ptr<dpdk_port> port_;
  std::uint16_t port_id_;
  std::uint16_t queue_;
  std::uint32_t index_;
  rte_mempool* transmit_pool_;
};

std::unique_ptr<packet_source> make_source(std::shared_ptr<dpdk_port> port, std::uint16_t queue,
                                           std::uint32_t index,
                                           std::vector<std::uint16_t> listen_ports,
                                           std::uint32_t buffers, udp_checksums checksums) {
  const port_plan& plan = port->plan();
  frame_source_options options{
      .identity = plan.identity,
      .listen_ports = std::move(listen_ports),
      .mtu = plan.mtu,
      .buffers = buffers,
      .buffer_bytes = plan.receive_pools[queue]->element_bytes(),
      .verify_udp = checksums == udp_checksums::verify ||
                    (checksums == udp_checksums::automatic && !is_software_driver(port->driver()))};
  return std::make_unique<frame_source>(std::make_unique<dpdk_queue>(std::move(port), queue, index),
                                        std::move(options));
}

status start_locked(std::string_view arguments) {
  environment& one = eal();
  if (!one.started) {
    one.arguments = arguments;
    one.started = init_environment(arguments);
  } else if (one.arguments != arguments) {
    return error(error_code::already_exists, "DPDK was started with '" + one.arguments +
                                                 "' already; it starts once in a process");
  }
  return *one.started;
}

status add_port(std::uint16_t id, const dpdk_options& options, arena& memory,
                std::vector<std::unique_ptr<packet_source>>& out) {
  port_plan plan{.id = id,
                 .mtu = options.mtu,
                 .receive_descriptors = static_cast<std::uint16_t>(options.receive_descriptors),
                 .transmit_descriptors = static_cast<std::uint16_t>(options.transmit_descriptors),
                 .receive_pools = {},
                 .transmit_pools = {},
                 .identity = {},
                 .rings = {}};
  MILLRACE_ASSIGN(plan.identity.addresses, addresses_of_port(options.addresses, id));
  for (std::uint32_t queue = 0; queue < options.queues; ++queue) {
    MILLRACE_ASSIGN(auto receive, packet_pool::create(memory, options.buffers, options.mtu,
                                                      "DPDK receive buffers"));
    MILLRACE_ASSIGN(auto transmit,
                    packet_pool::create(memory, transmit_buffers(options.transmit_descriptors),
                                        options.mtu, "DPDK transmit buffers"));
    plan.receive_pools.push_back(std::move(receive));
    plan.transmit_pools.push_back(std::move(transmit));
  }
  MILLRACE_ASSIGN(const auto port, dpdk_port::open(std::move(plan)));
  for (std::uint16_t queue = 0; queue < options.queues; ++queue) {
    out.push_back(make_source(port, queue, static_cast<std::uint32_t>(out.size()),
                              options.listen_ports, options.buffers, options.checksums));
  }
  return {};
}

// --- two ports back to back --------------------------------------------------------------------

result<std::shared_ptr<rte_ring>> make_ring(std::uint32_t frames) {
  rte_ring* const ring = rte_ring_create(unique_name("ring").c_str(), frames, SOCKET_ID_ANY,
                                         RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (!ring) return dpdk_error(error_code::exhausted, "a DPDK ring", rte_errno);
  return std::shared_ptr<rte_ring>(ring, rte_ring_free);
}

result<std::shared_ptr<dpdk_port>> open_ring_port(std::shared_ptr<rte_ring> receive,
                                                  std::shared_ptr<rte_ring> transmit,
                                                  const dpdk_ring_options& options,
                                                  const std::string& address,
                                                  std::shared_ptr<packet_pool> receive_pool,
                                                  std::shared_ptr<packet_pool> transmit_pool) {
  rte_ring* const in = receive.get();
  rte_ring* const out = transmit.get();
  const int id = rte_eth_from_rings(unique_name("port").c_str(), &in, 1, &out, 1, 0);
  if (id < 0) return dpdk_error(error_code::io, "a DPDK port over rings", rte_errno);
  const auto descriptors = static_cast<std::uint16_t>(std::min(options.ring_frames, 1024u));
  port_plan plan{.id = static_cast<std::uint16_t>(id),
                 .mtu = options.mtu,
                 .receive_descriptors = descriptors,
                 .transmit_descriptors = descriptors,
                 .receive_pools = {std::move(receive_pool)},
                 .transmit_pools = {std::move(transmit_pool)},
                 .identity = {},
                 .rings = {std::move(receive), std::move(transmit)}};
  MILLRACE_ASSIGN(plan.identity.addresses, addresses_of_port(std::span(&address, 1), 0));
  return dpdk_port::open(std::move(plan));
}

}  // namespace

std::string dpdk_version() {
  return rte_version();
}

status start_dpdk(std::string_view eal_arguments) {
  std::lock_guard lock(eal().mutex);
  return start_locked(eal_arguments);
}

result<std::vector<std::unique_ptr<packet_source>>> open_dpdk_ports(const dpdk_options& options,
                                                                    arena& memory) {
  MILLRACE_TRY(check_dpdk_options(options));
  std::vector<std::unique_ptr<packet_source>> out;
  std::lock_guard lock(eal().mutex);
  MILLRACE_TRY(start_locked(options.eal_arguments));
  const auto next_port = [](std::uint64_t from) {
    return static_cast<std::uint16_t>(
        rte_eth_find_next_owned_by(static_cast<std::uint16_t>(from), RTE_ETH_DEV_NO_OWNER));
  };
  for (std::uint16_t id = next_port(0); id < RTE_MAX_ETHPORTS; id = next_port(id + 1u)) {
    if (std::ranges::count(eal().open_ports, id) > 0) continue;
    MILLRACE_TRY(add_port(id, options, memory, out));
  }
  if (out.empty()) {
    return error(error_code::not_found, "DPDK found no port with '" + options.eal_arguments +
                                            "': bind a NIC (docs/dpdk.md) or name a --vdev");
  }
  return out;
}

result<dpdk_ring_pair> open_dpdk_ring_pair(const dpdk_ring_options& options, arena& memory) {
  MILLRACE_TRY(check_dpdk_options(options));
  std::lock_guard lock(eal().mutex);
  if (!eal().started || !eal().started->ok()) {
    return error(error_code::unavailable, "DPDK is not started");
  }
  const std::uint32_t answers = transmit_buffers(options.ring_frames);
  // A frame changes hands as it is: what the client sends from is what the server receives into.
  MILLRACE_ASSIGN(auto data_pool,
                  packet_pool::create(memory, options.buffers, options.mtu, "net_ring buffers"));
  MILLRACE_ASSIGN(auto answer_pool,
                  packet_pool::create(memory, answers, options.mtu, "net_ring answer buffers"));
  MILLRACE_ASSIGN(const auto to_server, make_ring(options.ring_frames));
  MILLRACE_ASSIGN(const auto to_client, make_ring(options.ring_frames));
  MILLRACE_ASSIGN(const auto server,
                  open_ring_port(to_server, to_client, options, options.server_address, data_pool,
                                 answer_pool));
  MILLRACE_ASSIGN(const auto client,
                  open_ring_port(to_client, to_server, options, options.client_address, answer_pool,
                                 data_pool));
  const port_address& address = server->plan().identity.addresses.front();
  dpdk_ring_pair pair;
  pair.server_address.address = address.address;
  pair.server_address.family = address.family;
  pair.server_address.port = options.server_ports.front();
  pair.server =
      make_source(server, 0, 0, options.server_ports, options.buffers, udp_checksums::ignore);
  pair.client = make_source(client, 0, 1, {options.client_port}, answers, udp_checksums::ignore);
  return pair;
}

}  // namespace millrace
