#pragma once
/// Little-endian loads and stores at any address. Wire and disk formats are little-endian and give
/// no alignment that the reader could rely on.
#include <bit>
#include <cstring>
#include <type_traits>

#include "base/types.h"

namespace millrace {

static_assert(std::endian::native == std::endian::little,
              "formats are read in place; a big-endian port needs byte swaps here");

/// Reads a trivially copyable `Value` from unaligned memory.
template <class Value>
inline Value load(const void* from) {
  static_assert(std::is_trivially_copyable_v<Value>);
  Value value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// Writes a trivially copyable `Value` to unaligned memory.
template <class Value>
inline void store(void* to, const Value& value) {
  static_assert(std::is_trivially_copyable_v<Value>);
  std::memcpy(to, &value, sizeof value);
}

}  // namespace millrace
