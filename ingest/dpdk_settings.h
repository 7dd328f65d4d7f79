#pragma once
/// What of a DPDK port's settings can be checked and computed without DPDK.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "ingest/dpdk_port.h"
#include "ingest/net_frames.h"

namespace millrace {

inline constexpr std::uint32_t mtu_min = 1280;  ///< IPv6's own bound
inline constexpr std::uint32_t mtu_max = 9000;

/// Splits a command line as a shell would: blanks, 'single' and "double" quotes, backslashes.
result<std::vector<std::string>> split_arguments(std::string_view text);

/// The EAL's argv: our name, the user's words, and what is added when the user did not say.
result<std::vector<std::string>> eal_command_line(std::string_view text);
/// Whether the user said which CPUs the lcores are (-l, -c, --lcores).
bool names_lcores(std::span<const std::string> arguments);

/// The addresses of one port, from "ADDRESS/PREFIX[@PORT]".
result<std::vector<port_address>> addresses_of_port(std::span<const std::string> texts,
                                                    std::uint32_t port);

/// Errors name setting, value and limit.
status check_dpdk_options(const dpdk_options& options);
status check_dpdk_options(const dpdk_ring_options& options);

/// Bytes for a frame in one buffer, headroom included; drivers want whole KiB.
std::uint32_t buffer_data_bytes(std::uint32_t mtu);
/// Bytes of one buffer with its descriptors.
std::uint32_t buffer_element_bytes(std::uint32_t mtu);
/// Arena for a pool of so many.
std::uint64_t pool_arena_bytes(std::uint32_t buffers, std::uint32_t mtu);
/// Buffers to send from: more than the descriptors, which keep what they sent for a while.
std::uint32_t transmit_buffers(std::uint32_t descriptors);

/// Drivers that hand over frames of this machine's own senders.
bool is_software_driver(std::string_view driver);

}  // namespace millrace
