#pragma once
/// Values as 64-bit words whose unsigned order is the order of the values: what least and greatest
/// compare and what group keys are made of. Reversible, but that every NaN becomes one (it stands
/// above all numbers) and -0.0 becomes 0.0.
#include <cstdint>
#include <cstring>

#include "gpu/host_device.h"
#include "gpu/view_plan.h"

namespace millrace {

MILLRACE_HOST_DEVICE inline double double_of(std::uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
MILLRACE_HOST_DEVICE inline std::uint64_t bits_of(double value) {
  std::uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline constexpr std::uint64_t sign_bit = 1ull << 63;
inline constexpr std::uint64_t infinity_bits = 0x7ff0000000000000u;
inline constexpr std::uint64_t nan_bits = 0x7ff8000000000000u;

MILLRACE_HOST_DEVICE inline bool is_nan_bits(std::uint64_t bits) {
  return (bits & ~sign_bit) > infinity_bits;
}
/// One bit pattern for each double that compares as a value of its own.
MILLRACE_HOST_DEVICE inline std::uint64_t canonical_double(std::uint64_t bits) {
  if (is_nan_bits(bits)) return nan_bits;
  return bits == sign_bit ? 0 : bits;
}

/// `bits` as field_value has them: int64, double, timestamp or bool.
MILLRACE_HOST_DEVICE inline std::uint64_t to_ordered(field_type type, std::uint64_t bits) {
  if (type != field_type::float64) return bits ^ sign_bit;
  const std::uint64_t value = canonical_double(bits);
  return (value & sign_bit) != 0 ? ~value : value | sign_bit;
}
MILLRACE_HOST_DEVICE inline std::uint64_t from_ordered(field_type type, std::uint64_t ordered) {
  if (type != field_type::float64) return ordered ^ sign_bit;
  return (ordered & sign_bit) != 0 ? ordered ^ sign_bit : ~ordered;
}

}  // namespace millrace
