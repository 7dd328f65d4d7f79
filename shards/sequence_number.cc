#include "shards/sequence_number.h"

#include <array>
#include <cstring>

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

constexpr std::uint64_t ten_to_18 = 1'000'000'000'000'000'000;
// Division of two limbs by an invariant one, which has to have its highest bit set (Moeller and
// Granlund, "Improved division by invariant integers", algorithm 4).
constexpr unsigned divisor_shift = 4;
constexpr std::uint64_t divisor = ten_to_18 << divisor_shift;
constexpr auto reciprocal = static_cast<std::uint64_t>(~uint128{0} / divisor - (uint128{1} << 64));
static_assert(divisor >> 63 == 1);

/// high * 2^64 + low, where high < 10^18, by 10^18.
std::uint64_t divide(std::uint64_t high, std::uint64_t low, std::uint64_t& rest) {
  const std::uint64_t u1 = high << divisor_shift | low >> (64 - divisor_shift);
  const std::uint64_t u0 = low << divisor_shift;
  const uint128 product =
      static_cast<uint128>(reciprocal) * u1 + (static_cast<uint128>(u1) << 64 | u0);
  std::uint64_t quotient = static_cast<std::uint64_t>(product >> 64) + 1;
  std::uint64_t left = u0 - quotient * divisor;
  if (left > static_cast<std::uint64_t>(product)) {
    --quotient;
    left += divisor;
  }
  if (left >= divisor) {
    ++quotient;
    left -= divisor;
  }
  rest = left >> divisor_shift;
  return quotient;
}

/// 18 digits that end before `end`; where they begin.
char* write_18(char* end, std::uint64_t value) {
  constexpr auto pairs = [] {
    std::array<char, 200> out{};
    for (std::size_t i = 0; i < 100; ++i) {
      out[2 * i] = static_cast<char>('0' + i / 10);
      out[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
    return out;
  }();
  // Two chains of divisions that do not wait for each other.
  constexpr std::uint64_t ten_to_9 = 1'000'000'000;
  auto high = static_cast<std::uint32_t>(value / ten_to_9);
  auto low = static_cast<std::uint32_t>(value % ten_to_9);
  char* const middle = end - 9;
  for (int i = 1; i <= 4; ++i) {
    std::memcpy(end - 2 * i, pairs.data() + std::size_t{2} * (low % 100), 2);
    std::memcpy(middle - 2 * i, pairs.data() + std::size_t{2} * (high % 100), 2);
    low /= 100;
    high /= 100;
  }
  *middle = static_cast<char>('0' + low);
  *(middle - 9) = static_cast<char>('0' + high);
  return middle - 9;
}

error not_one(std::string_view text, const char* why) {
  return {error_code::invalid_argument,
          "'" + std::string(text.substr(0, digits_max + 2)) + "' is not a sequence number: " + why};
}

}  // namespace

std::string_view sequence_number::write(digits& into) const {
  limbs number{};
  put(number, version_field, version);
  put(number, shard_field, shard.value);
  put(number, arrival_field, arrival_s);
  put(number, index_field, index.value);
  put(number, nibble_field, shard.value & 0xf);
  put(number, created_field, shard_created_s);
  put(number, top_field, 2);

  char* at = into.data() + into.size();
  for (std::size_t top = number.size(); top > 0;) {
    std::uint64_t rest = 0;
    for (std::size_t limb = top; limb-- > 0;)
      number[limb] = divide(rest, number[limb], rest);
    while (top > 0 && number[top - 1] == 0)
      --top;
    at = write_18(at, rest);
  }
  while (*at == '0')
    ++at;
  return {at, static_cast<std::size_t>(into.data() + into.size() - at)};
}

std::string sequence_number::to_string() const {
  digits into;
  return std::string(write(into));
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
