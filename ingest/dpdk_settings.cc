#include "ingest/dpdk_settings.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "base/limits.h"

namespace millrace {
namespace {

constexpr std::uint32_t headroom_bytes = 128;         // RTE_PKTMBUF_HEADROOM
constexpr std::uint32_t descriptor_bytes = 128 + 64;  // rte_mbuf and the mempool's object header
constexpr std::uint32_t link_bytes_max = 14 + 4;
constexpr std::uint32_t largest_page_bytes = 2 * limits::mib;

error refuse(const std::string& what) {
  return error(error_code::invalid_argument, what);
}

status check_range(const char* name, std::uint64_t value, std::uint64_t min, std::uint64_t max) {
  if (value >= min && value <= max) return {};
  return refuse(std::string("DPDK port: ") + name + " " + std::to_string(value) + " is not from " +
                std::to_string(min) + " to " + std::to_string(max));
}

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> heads) {
  return std::ranges::any_of(heads, [&](std::string_view head) { return text.starts_with(head); });
}

}  // namespace

result<std::vector<std::string>> split_arguments(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quote != '\'') {
      if (i + 1 == text.size()) return refuse("a backslash at the end of the EAL arguments");
      word += text[++i];
      in_word = true;
    } else if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (in_word) out.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) {
    return refuse(std::string("an unclosed ") + quote + " in the EAL arguments '" +
                  std::string(text) + "'");
  }
  if (in_word) out.push_back(std::move(word));
  return out;
}

result<std::vector<std::string>> eal_command_line(std::string_view text) {
  MILLRACE_ASSIGN(std::vector<std::string> words, split_arguments(text));
  for (const std::string& word : words) {
    // These make the EAL end the process, or leave what follows to the program.
    if (word == "-h" || word == "--help" || word == "--") {
      return refuse("EAL argument '" + word + "' has no use here");
    }
  }
  // The arena is ours, not DPDK's: it has no physical addresses, only virtual ones.
  if (std::ranges::none_of(words, [](std::string_view w) { return w.starts_with("--iova-mode"); }))
    words.push_back("--iova-mode=va");
  words.insert(words.begin(), "millrace");
  return words;
}

bool names_lcores(std::span<const std::string> arguments) {
  return std::ranges::any_of(arguments, [](std::string_view word) {
    return starts_with_any(word, {"--lcores"}) || word.starts_with("-l") || word.starts_with("-c");
  });
}

result<std::vector<port_address>> addresses_of_port(std::span<const std::string> texts,
                                                    std::uint32_t port) {
  std::vector<port_address> out;
  for (const std::string& text : texts) {
    const std::size_t at = text.find('@');
    std::uint32_t wanted = 0;
    if (at != std::string::npos) {
      const char* end = text.data() + text.size();
      const auto [stop, failed] = std::from_chars(text.data() + at + 1, end, wanted);
      if (failed != std::errc() || stop != end) {
        return refuse("address '" + text + "': no port number after '@'");
      }
    }
    MILLRACE_ASSIGN(const port_address address,
                    parse_port_address(std::string_view(text).substr(0, at)));
    if (wanted == port) out.push_back(address);
  }
  if (out.size() > 255) {
    return refuse("DPDK port " + std::to_string(port) + ": " + std::to_string(out.size()) +
                  " addresses are over the limit of 255");
  }
  if (!texts.empty() && out.empty()) {
    return refuse("DPDK port " + std::to_string(port) + " has no address, others have");
  }
  return out;
}

status check_dpdk_options(const dpdk_options& options) {
  MILLRACE_TRY(check_range("mtu", options.mtu, mtu_min, mtu_max));
  MILLRACE_TRY(check_range("queues", options.queues, 1, 256));
  MILLRACE_TRY(check_range("receive descriptors", options.receive_descriptors, 64, 32'768));
  MILLRACE_TRY(check_range("transmit descriptors", options.transmit_descriptors, 64, 32'768));
  // What the receive ring holds cannot be in a batch as well.
  MILLRACE_TRY(check_range("buffers", options.buffers,
                           std::uint64_t{options.receive_descriptors} * 2, 8 * limits::mib));
  MILLRACE_TRY(check_range("listen ports", options.listen_ports.size(), 1, 1024));
  return {};
}

status check_dpdk_options(const dpdk_ring_options& options) {
  MILLRACE_TRY(check_range("mtu", options.mtu, mtu_min, mtu_max));
  MILLRACE_TRY(check_range("buffers", options.buffers, 256, 8 * limits::mib));
  MILLRACE_TRY(check_range("ring frames", options.ring_frames, 64, 64 * limits::kib));
  MILLRACE_TRY(check_range("listen ports", options.server_ports.size(), 1, 1024));
  if (!std::has_single_bit(options.ring_frames)) {
    return refuse("DPDK port: ring frames " + std::to_string(options.ring_frames) +
                  " is not a power of two");
  }
  return {};
}

std::uint32_t buffer_data_bytes(std::uint32_t mtu) {
  return headroom_bytes +
         static_cast<std::uint32_t>(align_up(std::max(mtu + link_bytes_max, 2048u), 1024));
}

std::uint32_t buffer_element_bytes(std::uint32_t mtu) {
  return static_cast<std::uint32_t>(align_up(descriptor_bytes + buffer_data_bytes(mtu), 64));
}

std::uint64_t pool_arena_bytes(std::uint32_t buffers, std::uint32_t mtu) {
  // A little more than the buffers: alignment, and bytes that may be read past the last one's end.
  return std::uint64_t{buffers} * buffer_element_bytes(mtu) + 4096;
}

std::uint32_t transmit_buffers(std::uint32_t descriptors) {
  return descriptors + 512;
}

std::uint64_t dpdk_queue_arena_bytes(const dpdk_options& options) {
  return align_up(pool_arena_bytes(options.buffers, options.mtu), largest_page_bytes) +
         align_up(pool_arena_bytes(transmit_buffers(options.transmit_descriptors), options.mtu),
                  largest_page_bytes);
}

std::uint64_t dpdk_ring_arena_bytes(const dpdk_ring_options& options) {
  return align_up(pool_arena_bytes(options.buffers, options.mtu), largest_page_bytes) +
         align_up(pool_arena_bytes(transmit_buffers(options.ring_frames), options.mtu),
                  largest_page_bytes);
}

bool is_software_driver(std::string_view driver) {
  return starts_with_any(driver, {"net_ring", "net_null", "net_pcap", "net_af_packet", "net_af_xdp",
                                  "net_tap", "net_memif", "net_vhost", "net_virtio_user"});
}

}  // namespace millrace
