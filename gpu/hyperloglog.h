#pragma once
/// HyperLogLog with 4096 registers: how many different values there were, with a standard error of
/// 1.6 % (1.04 / sqrt(4096)), exact to a few for small numbers. A register holds the longest run of
/// zeros of the hashes that fall to it, so that updates and merges are maxima and come in any
/// order. The estimate is that of O. Ertl, "New cardinality estimation algorithms for HyperLogLog
/// sketches" (2017), section 4: no logarithm and no table, only operations that IEEE 754 rounds the
/// same everywhere.
#include <cstdint>

#include "gpu/field_value.h"
#include "gpu/host_device.h"
#include "gpu/ordered_bits.h"
#include "gpu/text_reader.h"
#include "gpu/value_hash.h"

namespace millrace {

inline constexpr std::uint32_t hll_precision = 12;
inline constexpr std::uint32_t hll_registers = 1u << hll_precision;
/// The greatest value of a register: all bits after the index are zero.
inline constexpr std::uint32_t hll_rank_max = 64 - hll_precision + 1;

/// One register that a value raises to at least `rank`.
struct hll_update {
  std::uint32_t index;
  std::uint32_t rank;  ///< 1 to hll_rank_max
};

MILLRACE_HOST_DEVICE inline hll_update hll_update_of(std::uint64_t hash) {
  const std::uint64_t rest = hash << hll_precision;
  std::uint32_t rank = 1;
  for (std::uint64_t bit = sign_bit; rank < hll_rank_max && (rest & bit) == 0; bit >>= 1)
    ++rank;
  return {static_cast<std::uint32_t>(hash >> (64 - hll_precision)), rank};
}

/// The hash of a value that is not null: equal values have equal ones, however they are written.
MILLRACE_HOST_DEVICE inline std::uint64_t distinct_hash(field_type type, const field_value& value) {
  if (type == field_type::string) {
    byte_hasher hasher;
    text_reader text(value);
    for (int byte = text.next(); byte != text_reader::at_end; byte = text.next()) {
      hasher.add(static_cast<unsigned char>(byte));
    }
    return hasher.finish();
  }
  const std::uint64_t bits =
      type == field_type::float64 ? canonical_double(value.bits) : value.bits;
  return hash_words(&bits, 1);
}

/// `ranks[r]`: how many registers hold r; 0 to hll_rank_max.
MILLRACE_HOST_DEVICE inline std::uint64_t hll_estimate(const std::uint32_t* ranks) {
  constexpr double registers = hll_registers;
  if (ranks[0] == hll_registers) return 0;
  // τ(1 - C/m): the registers that are full.
  double x = 1 - ranks[hll_rank_max] / registers;
  double full = 0;
  if (x != 0 && x != 1) {
    double y = 1;
    full = 1 - x;
    for (double before = -1; before != full;) {
      x = __builtin_sqrt(x);
      before = full;
      y = y * 0.5;
      full = full - (1 - x) * (1 - x) * y;
    }
    full = full / 3;
  }
  double sum = registers * full;
  for (std::uint32_t rank = hll_rank_max - 1; rank >= 1; --rank)
    sum = 0.5 * (sum + ranks[rank]);
  // σ(C/m): the registers that are empty.
  x = ranks[0] / registers;
  double y = 1;
  double empty = x;
  for (double before = -1; before != empty;) {
    x = x * x;
    before = empty;
    empty = empty + x * y;
    y = y + y;
  }
  sum = sum + registers * empty;
  constexpr double alpha = 0.7213475204444817;  // 1 / (2 ln 2)
  return static_cast<std::uint64_t>(alpha * registers * registers / sum + 0.5);
}

}  // namespace millrace
