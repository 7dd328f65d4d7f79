#include "base/crc32c.h"

#include <array>
#include <cstdlib>
#include <string_view>

#include "base/crc32c_x86.h"
#include "base/endian.h"

namespace millrace {
namespace {

using table_row = std::array<std::uint32_t, 256>;

/// tables[k][b]: what byte b contributes once k more bytes have gone by ("slicing by 8").
constexpr std::array<table_row, 8> make_tables() {
  std::array<table_row, 8> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0);
    tables[0][i] = value;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t i = 0; i < 256; ++i) {
      const std::uint32_t before = tables[k - 1][i];
      tables[k][i] = tables[0][before & 0xff] ^ (before >> 8);
    }
  }
  return tables;
}

constexpr auto tables = make_tables();

std::uint32_t by_tables(std::uint32_t state, const std::byte* bytes, std::size_t count) {
  for (; count >= 8; bytes += 8, count -= 8) {
    const std::uint64_t word = load<std::uint64_t>(bytes) ^ state;
    state = 0;
    for (std::size_t k = 0; k < 8; ++k)
      state ^= tables[7 - k][word >> (8 * k) & 0xff];
  }
  for (; count > 0; ++bytes, --count) {
    state = tables[0][(state ^ static_cast<std::uint32_t>(*bytes)) & 0xff] ^ (state >> 8);
  }
  return state;
}

struct version_list {
  std::array<crc32c_version, 3> versions;
  std::size_t count = 0;
};

version_list list_versions() {
  version_list list{};
#ifdef MILLRACE_CRC32C_X86
  if (crc32c_x86::has_avx512()) list.versions[list.count++] = {"avx512", crc32c_x86::avx512};
  if (crc32c_x86::has_sse42()) list.versions[list.count++] = {"sse4.2", crc32c_x86::sse42};
#endif
  list.versions[list.count++] = {"table", by_tables};
  return list;
}

crc32c_version choose() {
  const char* const forced = std::getenv("MILLRACE_CRC32C");
  const auto versions = crc32c_versions();
  if (forced != nullptr) {
    for (const crc32c_version& one : versions) {
      if (std::string_view(one.name) == forced) return one;
    }
  }
  return versions.front();
}

const crc32c_version& chosen() {
  static const crc32c_version one = choose();
  return one;
}

}  // namespace

std::span<const crc32c_version> crc32c_versions() {
  static const version_list list = list_versions();
  return {list.versions.data(), list.count};
}

std::uint32_t crc32c(byte_view bytes, std::uint32_t seed) {
  return ~chosen().update(~seed, bytes.data(), bytes.size());
}

const char* crc32c_implementation() {
  return chosen().name;
}

}  // namespace millrace
