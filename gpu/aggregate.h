#pragma once
/// The state of one group: 64-bit words, laid out once for a view (fold_program.h), the same on
/// both sides and in snapshots. It is made of parts that several aggregates may share: avg, sum and
/// count of one field use the same words. Null values and the NaN of quantiles change nothing.
///
///   part        words  meaning                                     empty     update
///   records     1      records                                     0         add
///   values      1      values of the field that are not null       0         add
///   sum_int     2      low, high (exact_sum.h)                     0 0       add with carry
///   sum_double  2      rounded sum, loss (exact_sum.h)             0 0       add, add
///   squares     2      the same of the squares                     0 0       add, add
///   least       1      to_ordered()                                ~0        unsigned minimum
///   greatest    1      to_ordered()                                0         unsigned maximum
///   first       4      time (ordered), shard, number, bits         ~0 ×4     all four, if earlier
///   last        4      the same                                    0 ×4      all four, if later
///   distinct    1      where the sketch is: its owner's matter     0         hyperloglog.h
///   quantiles   1      the same                                    0         ddsketch.h
#include <cstdint>

#include "gpu/exact_sum.h"
#include "gpu/field_value.h"
#include "gpu/host_device.h"
#include "gpu/ordered_bits.h"
#include "gpu/view_plan.h"

namespace millrace {

enum class part_kind : std::uint8_t {
  records,
  values,
  sum_int,
  sum_double,
  squares,
  least,
  greatest,
  first,
  last,
  distinct,
  quantiles,
};

struct state_part {
  part_kind kind{};
  field_type type{};         ///< of the field; none for `records`
  std::uint16_t column = 0;  ///< the extracted field
  std::uint16_t word = 0;    ///< its first, in the group's state
};

MILLRACE_HOST_DEVICE inline constexpr std::uint32_t words_of(part_kind kind) {
  switch (kind) {
    case part_kind::sum_int:
    case part_kind::sum_double:
    case part_kind::squares:
      return 2;
    case part_kind::first:
    case part_kind::last:
      return 4;
    default:
      return 1;
  }
}
MILLRACE_HOST_DEVICE inline constexpr std::uint64_t empty_word(part_kind kind) {
  return kind == part_kind::least || kind == part_kind::first ? ~0ull : 0;
}
MILLRACE_HOST_DEVICE inline constexpr bool is_sketch(part_kind kind) {
  return kind == part_kind::distinct || kind == part_kind::quantiles;
}

MILLRACE_HOST_DEVICE inline constexpr bool is_place(part_kind kind) {
  return kind == part_kind::first || kind == part_kind::last;
}

/// Where a record stands among those that first and last choose from.
struct record_place {
  std::int64_t time_us;
  std::uint64_t shard;
  std::uint64_t number;
};

/// Memory words without atomics: what one thread owns. A device has a twin of this whose add and
/// add_double return the old value of an atomic addition.
struct plain_words {
  static MILLRACE_HOST_DEVICE std::uint64_t add(std::uint64_t* at, std::uint64_t x) {
    const std::uint64_t old = *at;
    *at = old + x;
    return old;
  }
  static MILLRACE_HOST_DEVICE double add_double(std::uint64_t* at, double x) {
    const double old = double_of(*at);
    *at = bits_of(old + x);
    return old;
  }
  static MILLRACE_HOST_DEVICE void least(std::uint64_t* at, std::uint64_t x) {
    *at = x < *at ? x : *at;
  }
  static MILLRACE_HOST_DEVICE void greatest(std::uint64_t* at, std::uint64_t x) {
    *at = x > *at ? x : *at;
  }
};

template <class Words>
MILLRACE_HOST_DEVICE inline void add_int(std::uint64_t* at, std::int64_t x) {
  const std::uint64_t old = Words::add(at, static_cast<std::uint64_t>(x));
  const std::uint64_t carry = carry_into_high(old, x);
  if (carry != 0) Words::add(at + 1, carry);
}
template <class Words>
MILLRACE_HOST_DEVICE inline void add_double(std::uint64_t* at, double x, double x_lost = 0) {
  const double old = Words::add_double(at, x);
  const double lost = rounding_loss(old, x) + x_lost;
  if (lost != 0) Words::add_double(at + 1, lost);
}

/// A field's bits as the double that sums, squares and quantiles take. Integers past 2^53 round.
MILLRACE_HOST_DEVICE inline double number_of(field_type type, std::uint64_t bits) {
  return type == field_type::float64 ? double_of(bits)
                                     : static_cast<double>(static_cast<std::int64_t>(bits));
}

MILLRACE_HOST_DEVICE inline bool is_before(const std::uint64_t* a, const std::uint64_t* b) {
  if (a[0] != b[0]) return a[0] < b[0];
  if (a[1] != b[1]) return a[1] < b[1];
  return a[2] < b[2];
}
/// Takes `candidate` (four words) where it is before (first) or not before (last) what is there.
/// Not for several threads at once.
MILLRACE_HOST_DEVICE inline void take_place(part_kind kind, std::uint64_t* at,
                                            const std::uint64_t* candidate) {
  if (is_before(candidate, at) != (kind == part_kind::first)) return;
  for (int i = 0; i < 4; ++i)
    at[i] = candidate[i];
}

/// One value that is not null into one part. Everything but first, last and the sketches.
template <class Words>
MILLRACE_HOST_DEVICE inline void update_part(const state_part& part, std::uint64_t* state,
                                             std::uint64_t bits) {
  std::uint64_t* const at = state + part.word;
  switch (part.kind) {
    case part_kind::records:
    case part_kind::values:
      Words::add(at, 1);
      break;
    case part_kind::sum_int:
      add_int<Words>(at, static_cast<std::int64_t>(bits));
      break;
    case part_kind::sum_double:
      add_double<Words>(at, number_of(part.type, bits));
      break;
    case part_kind::squares: {
      const double x = number_of(part.type, bits);
      const exact_double square = product_of(x, x);
      add_double<Words>(at, square.rounded, square.lost);
      break;
    }
    case part_kind::least:
      Words::least(at, to_ordered(part.type, bits));
      break;
    case part_kind::greatest:
      Words::greatest(at, to_ordered(part.type, bits));
      break;
    case part_kind::first:
    case part_kind::last:
    case part_kind::distinct:
    case part_kind::quantiles:
      break;
  }
}
/// The four words that take_place() takes.
MILLRACE_HOST_DEVICE inline void place_words(const record_place& place, std::uint64_t bits,
                                             std::uint64_t* words) {
  words[0] = static_cast<std::uint64_t>(place.time_us) ^ sign_bit;
  words[1] = place.shard;
  words[2] = place.number;
  words[3] = bits;
}

/// Everything of `from` into `state`, one part. Not the sketches.
template <class Words>
MILLRACE_HOST_DEVICE inline void merge_part(const state_part& part, std::uint64_t* state,
                                            const std::uint64_t* from) {
  std::uint64_t* const at = state + part.word;
  const std::uint64_t* const other = from + part.word;
  switch (part.kind) {
    case part_kind::records:
    case part_kind::values:
      Words::add(at, other[0]);
      break;
    case part_kind::sum_int: {
      const std::uint64_t old = Words::add(at, other[0]);
      Words::add(at + 1, other[1] + (old + other[0] < old ? 1u : 0u));
      break;
    }
    case part_kind::sum_double:
    case part_kind::squares:
      add_double<Words>(at, double_of(other[0]), double_of(other[1]));
      break;
    case part_kind::least:
      Words::least(at, other[0]);
      break;
    case part_kind::greatest:
      Words::greatest(at, other[0]);
      break;
    case part_kind::first:
    case part_kind::last:
      take_place(part.kind, at, other);
      break;
    case part_kind::distinct:
    case part_kind::quantiles:
      break;
  }
}

}  // namespace millrace
