#pragma once
/// A view's filter as small bytecode, run once a record by one function on both sides. Logic is
/// SQL's, of three values: a comparison with null is unknown, and a record is taken when the whole
/// is true. Values compare in the order of ordered_bits.h (NaN equals itself and is the greatest),
/// texts byte by byte.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gpu/field_value.h"
#include "gpu/host_device.h"
#include "gpu/ordered_bits.h"
#include "gpu/text_reader.h"
#include "gpu/view_plan.h"

namespace millrace {

/// Postfix: comparisons push, the rest takes from the stack.
enum class filter_code : std::uint8_t {
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  one_of,
  is_null,
  has_prefix,
  both,
  either,
  negation,
};

struct filter_op {
  filter_code code{};
  field_type type{};
  std::uint16_t column = 0;
  std::uint32_t first = 0;  ///< of its literals
  std::uint32_t count = 0;
};
static_assert(sizeof(filter_op) == 12);

/// One block without pointers: header, operations, literals, bytes of texts. A copy of it elsewhere
/// is the same program. A literal is to_ordered(), or of a text (offset of its bytes << 32 |
/// count).
struct filter_header {
  std::uint32_t ops = 0;
  std::uint32_t literals_at = 0;  ///< in bytes from the block's start, a multiple of 8
};

namespace filter_detail {

MILLRACE_HOST_DEVICE inline std::uint64_t literal(const std::byte* block, std::uint32_t index) {
  filter_header header;
  memcpy(&header, block, sizeof header);
  std::uint64_t word;
  memcpy(&word, block + header.literals_at + std::size_t{index} * 8, sizeof word);
  return word;
}

/// -1, 0, 1: the value against the text literal; a prefix of it that ends the literal is 0 when
/// `prefix`.
MILLRACE_HOST_DEVICE inline int compare_text(const std::byte* block, std::uint64_t text,
                                             const field_value& value, bool prefix) {
  const std::byte* const bytes = block + (text >> 32);
  const auto count = static_cast<std::uint32_t>(text);
  text_reader reader(value);
  for (std::uint32_t i = 0; i < count; ++i) {
    const int byte = reader.next();
    const int wanted = static_cast<unsigned char>(bytes[i]);
    if (byte != wanted) return byte < wanted ? -1 : 1;
  }
  return prefix || reader.next() == text_reader::at_end ? 0 : 1;
}

MILLRACE_HOST_DEVICE inline int compare(const std::byte* block, const filter_op& op,
                                        std::uint32_t index, const field_value& value) {
  const std::uint64_t with = literal(block, index);
  if (op.type == field_type::string) {
    return compare_text(block, with, value, op.code == filter_code::has_prefix);
  }
  const std::uint64_t ordered = to_ordered(op.type, value.bits);
  return ordered < with ? -1 : ordered > with ? 1 : 0;
}

/// Of a value that is not null.
MILLRACE_HOST_DEVICE inline bool holds(const std::byte* block, const filter_op& op,
                                       const field_value& value) {
  if (op.code == filter_code::one_of) {
    for (std::uint32_t i = 0; i < op.count; ++i) {
      if (compare(block, op, op.first + i, value) == 0) return true;
    }
    return false;
  }
  const int order = compare(block, op, op.first, value);
  switch (op.code) {
    case filter_code::not_equal:
      return order != 0;
    case filter_code::less:
      return order < 0;
    case filter_code::less_equal:
      return order <= 0;
    case filter_code::greater:
      return order > 0;
    case filter_code::greater_equal:
      return order >= 0;
    default:
      return order == 0;
  }
}

}  // namespace filter_detail

/// Whether the record is taken. `field(column)` gives a field_value. The stack is bits: check()
/// bounds the nesting below their number.
template <class Field>
MILLRACE_HOST_DEVICE inline bool run_filter(const std::byte* block, Field field) {
  filter_header header;
  memcpy(&header, block, sizeof header);
  std::uint64_t is_true = 0;
  std::uint64_t is_unknown = 0;
  for (std::uint32_t i = 0; i < header.ops; ++i) {
    filter_op op;
    memcpy(&op, block + sizeof header + std::size_t{i} * sizeof op, sizeof op);
    if (op.code == filter_code::negation) {
      is_true ^= ~is_unknown & 1;
      continue;
    }
    if (op.code == filter_code::both || op.code == filter_code::either) {
      const std::uint64_t a_true = is_true & 1, a_unknown = is_unknown & 1;
      is_true >>= 1;
      is_unknown >>= 1;
      const std::uint64_t b_true = is_true & 1, b_unknown = is_unknown & 1;
      std::uint64_t both_true, both_unknown;
      if (op.code == filter_code::both) {
        both_true = a_true & b_true;
        both_unknown = (a_true | a_unknown) & (b_true | b_unknown) & ~both_true;
      } else {
        both_true = a_true | b_true;
        both_unknown = (a_unknown | b_unknown) & ~both_true;
      }
      is_true = (is_true & ~1ull) | both_true;
      is_unknown = (is_unknown & ~1ull) | both_unknown;
      continue;
    }
    const field_value value = field(op.column);
    const bool null = value.is_null();
    const bool asks_null = op.code == filter_code::is_null;
    const bool truth = asks_null ? null : !null && filter_detail::holds(block, op, value);
    is_true = is_true << 1 | (truth ? 1u : 0u);
    is_unknown = is_unknown << 1 | (null && !asks_null ? 1u : 0u);
  }
  return (is_true & 1) != 0;
}

/// The block of a filter that check() has found good; `columns`: where each field is extracted to.
std::vector<std::byte> compile_filter(const filter_plan& plan, const view_plan& of,
                                      std::span<const std::uint16_t> columns);

}  // namespace millrace
