#pragma once
/// Bytes that differ from each other, the same for the same seed.
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace millrace {

inline std::vector<std::byte> random_bytes(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(count);
  for (auto& b : bytes)
    b = static_cast<std::byte>(random());
  return bytes;
}

}  // namespace millrace
