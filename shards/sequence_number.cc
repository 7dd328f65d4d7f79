#include "shards/sequence_number.h"

#include <algorithm>
#include <array>

namespace millrace {
namespace {

// The 186 bits as limbs of 64 bits, least significant first. From the low end: version (4 bits),
// shard (32), arrival second (36), zero byte (8), index (64), low nibble of the shard (4), creation
// second (36), and the digit 2.
using limbs = std::array<std::uint64_t, 3>;

struct field {
  unsigned shift;
  unsigned bits;
};
constexpr field version_field{0, 4};
constexpr field shard_field{4, 32};
constexpr field arrival_field{36, 36};
constexpr field zero_field{72, 8};
constexpr field index_field{80, 64};
constexpr field nibble_field{144, 4};
constexpr field created_field{148, 36};
constexpr field top_field{184, 8};
constexpr std::uint64_t version = 2;
constexpr std::size_t digits_max = 58;  // 2^192 has 58

void put(limbs& number, field where, std::uint64_t value) {
  const unsigned limb = where.shift / 64;
  const unsigned bit = where.shift % 64;
  number[limb] |= value << bit;
  if (bit + where.bits > 64) number[limb + 1] |= value >> (64 - bit);
}

std::uint64_t get(const limbs& number, field where) {
  const unsigned limb = where.shift / 64;
  const unsigned bit = where.shift % 64;
  std::uint64_t value = number[limb] >> bit;
  if (bit + where.bits > 64) value |= number[limb + 1] << (64 - bit);
  return where.bits == 64 ? value : value & ((std::uint64_t{1} << where.bits) - 1);
}

error not_one(std::string_view text, const char* why) {
  return {error_code::invalid_argument,
          "'" + std::string(text.substr(0, digits_max + 2)) + "' is not a sequence number: " + why};
}

}  // namespace

std::string sequence_number::to_string() const {
  limbs number{};
  put(number, version_field, version);
  put(number, shard_field, shard.value);
  put(number, arrival_field, arrival_s);
  put(number, index_field, index.value);
  put(number, nibble_field, shard.value & 0xf);
  put(number, created_field, shard_created_s);
  put(number, top_field, 2);

  constexpr std::uint64_t ten_to_18 = 1'000'000'000'000'000'000;
  std::string text;
  while ((number[0] | number[1] | number[2]) != 0) {
    uint128 rest = 0;
    for (int limb = 2; limb >= 0; --limb) {
      const uint128 value = (rest << 64) | number[static_cast<std::size_t>(limb)];
      number[static_cast<std::size_t>(limb)] = static_cast<std::uint64_t>(value / ten_to_18);
      rest = value % ten_to_18;
    }
    auto digits = static_cast<std::uint64_t>(rest);
    for (int i = 0; i < 18; ++i) {
      text.push_back(static_cast<char>('0' + digits % 10));
      digits /= 10;
    }
  }
  text.erase(text.find_last_not_of('0') + 1);
  std::reverse(text.begin(), text.end());
  return text;
}

result<sequence_number> sequence_number::parse(std::string_view text) {
  if (text.empty() || text.size() > digits_max) return not_one(text, "it has 1 to 58 digits");
  limbs number{};
  for (const char c : text) {
    if (c < '0' || c > '9') return not_one(text, "it is a decimal number");
    uint128 carry = static_cast<uint128>(c - '0');
    for (std::uint64_t& limb : number) {
      carry += static_cast<uint128>(limb) * 10;
      limb = static_cast<std::uint64_t>(carry);
      carry >>= 64;
    }
    if (carry != 0) return not_one(text, "it is too large");
  }
  if (get(number, version_field) != version || get(number, zero_field) != 0 ||
      get(number, top_field) != 2) {
    return not_one(text, "its version is not 2");
  }
  const std::uint64_t created_s = get(number, created_field);
  const std::uint64_t arrival_s = get(number, arrival_field);
  if (created_s > 0xffff'ffff || arrival_s > 0xffff'ffff) {
    return not_one(text, "its times are out of range");
  }
  sequence_number parsed;
  parsed.shard = shard_index(static_cast<std::uint32_t>(get(number, shard_field)));
  if (get(number, nibble_field) != (parsed.shard.value & 0xf)) {
    return not_one(text, "its shard is not the same in both places");
  }
  parsed.shard_created_s = static_cast<std::uint32_t>(created_s);
  parsed.arrival_s = static_cast<std::uint32_t>(arrival_s);
  parsed.index = record_index(get(number, index_field));
  return parsed;
}

}  // namespace millrace
