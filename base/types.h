#pragma once
/// The few integer types that every folder uses.
#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace {

/// A point of the 128-bit hash space of partition keys, or a producer's identity.
__extension__ typedef unsigned __int128 uint128;

inline constexpr uint128 make_uint128(std::uint64_t high, std::uint64_t low) {
  return (static_cast<uint128>(high) << 64) | low;
}
inline constexpr std::uint64_t high_bits(uint128 value) {
  return static_cast<std::uint64_t>(value >> 64);
}
inline constexpr std::uint64_t low_bits(uint128 value) {
  return static_cast<std::uint64_t>(value);
}
inline constexpr uint128 uint128_max = ~static_cast<uint128>(0);

using byte_view = std::span<const std::byte>;
using mutable_byte_view = std::span<std::byte>;

/// The smallest multiple of `alignment` (a power of two) that is not below `value`.
inline constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

}  // namespace millrace
