#include "shards/sequence_number.h"

#include <array>
#include <tuple>

#include "base/endian.h"

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

using decimal_parts = std::array<std::uint64_t, 4>;
constexpr std::size_t part_digits = 18;

/// Eight digits as they are stored, the first in the lowest byte: halves, then pairs, then digits,
/// all of a kind at once. The products with a shift are divisions by 100 and by 10.
std::uint64_t eight_digits(std::uint64_t value) {
  const std::uint64_t halves = value / 10'000 | value % 10'000 << 32;
  const std::uint64_t hundreds = (halves * 10'486 >> 20) & 0x0000'007f'0000'007f;
  const std::uint64_t pairs = hundreds | (halves - 100 * hundreds) << 16;
  const std::uint64_t tens = (pairs * 103 >> 10) & 0x000f'000f'000f'000f;
  return (tens | (pairs - 10 * tens) << 8) + 0x3030'3030'3030'3030;
}

void write_part(char* to, std::uint64_t value) {
  constexpr std::uint64_t ten_to_8 = 100'000'000;
  const std::uint64_t upper = value / ten_to_8;
  const std::uint64_t top = upper / ten_to_8;
  to[0] = static_cast<char>('0' + top / 10);
  to[1] = static_cast<char>('0' + top % 10);
  store(reinterpret_cast<std::byte*>(to + 2), eight_digits(upper % ten_to_8));
  store(reinterpret_cast<std::byte*>(to + 10), eight_digits(value % ten_to_8));
}

/// Part `i` lies i * 18 digits before the end.
char* place_of(sequence_number::digits& text, std::size_t i) {
  return text.data() + text.size() - (i + 1) * part_digits;
}
static_assert(std::tuple_size_v<sequence_number::digits> ==
              part_digits * std::tuple_size_v<decimal_parts>);

decimal_parts parts_of(const sequence_number& of) {
  limbs number{};
  put(number, version_field, version);
  put(number, shard_field, of.shard.value);
  put(number, arrival_field, of.arrival_s);
  put(number, index_field, of.index.value);
  put(number, nibble_field, of.shard.value & 0xf);
  put(number, created_field, of.shard_created_s);
  put(number, top_field, 2);

  decimal_parts parts{};
  std::size_t top = number.size();
  for (std::uint64_t& part : parts) {
    for (std::size_t limb = top; limb-- > 0;)
      number[limb] = divide(part, number[limb], part);
    while (top > 0 && number[top - 1] == 0)
      --top;
  }
  return parts;
}

/// All digits; where the first is that is not a leading zero.
std::size_t write_all(const decimal_parts& parts, sequence_number::digits& into) {
  for (std::size_t i = 0; i < parts.size(); ++i)
    write_part(place_of(into, i), parts[i]);
  std::size_t first = 0;
  while (into[first] == '0')
    ++first;
  return first;
}

std::string_view text_from(const sequence_number::digits& text, std::size_t first) {
  return {text.data() + first, text.size() - first};
}

error not_one(std::string_view text, const char* why) {
  return {error_code::invalid_argument,
          "'" + std::string(text.substr(0, digits_max + 2)) + "' is not a sequence number: " + why};
}

}  // namespace

std::string_view sequence_number::write(digits& into) const {
  return text_from(into, write_all(parts_of(*this), into));
}

std::string_view sequence_writer::write(const sequence_number& of) {
  // 2^80, one step of the index, in parts.
  static_assert(index_field.shift == 80);
  constexpr std::array<std::uint64_t, 2> step{819'614'629'174'706'176, 1'208'925};
  last_.index = record_index(last_.index.value + 1);
  const bool follows = has_last_ && of == last_ && of.index.value != 0;
  last_ = of;
  if (!follows) {
    has_last_ = true;
    parts_ = parts_of(of);
    first_ = write_all(parts_, text_);
    return text_from(text_, first_);
  }
  std::uint64_t carry = 0;
  for (std::size_t i = 0; i < parts_.size() && (i < step.size() || carry != 0); ++i) {
    parts_[i] += carry + (i < step.size() ? step[i] : 0);
    carry = parts_[i] >= ten_to_18 ? 1 : 0;
    parts_[i] -= carry * ten_to_18;
    write_part(place_of(text_, i), parts_[i]);
  }
  // It may have become one digit longer.
  while (first_ > 0 && text_[first_ - 1] != '0')
    --first_;
  return text_from(text_, first_);
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
