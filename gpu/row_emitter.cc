#include "gpu/row_emitter.h"

#include <algorithm>
#include <cstring>

namespace millrace {
namespace {

bool is_key_before(key_ref a, key_ref b) {
  const int order = std::memcmp(a.words, b.words, std::min(a.bytes, b.bytes));
  return order != 0 ? order < 0 : a.bytes < b.bytes;
}

}  // namespace

void row_emitter::keep_top() {
  const top_plan& top = *program_.plan.top;
  if (groups_.size() <= top.count) return;
  const field_type type = type_of(program_.plan.aggregates[top.aggregate], program_.plan);
  for (group& one : groups_) {
    one.rank = finish_part(program_.results[top.aggregate], one.state);
    one.rank.bits = one.rank.is_null ? 0 : to_ordered(type, one.rank.bits);
  }
  std::ranges::nth_element(groups_, groups_.begin() + top.count,
                           [](const group& a, const group& b) {
                             if (a.rank.is_null != b.rank.is_null) return b.rank.is_null;
                             if (a.rank.bits != b.rank.bits) return a.rank.bits > b.rank.bits;
                             return is_key_before(a.key, b.key);
                           });
  groups_.resize(top.count);
}

void row_emitter::emit(std::int64_t start_us, std::int64_t end_us, std::uint64_t rows_max,
                       window_rows& out) {
  if (program_.plan.top) keep_top();
  const std::size_t count = std::min<std::uint64_t>(groups_.size(), rows_max);
  std::ranges::partial_sort(
      groups_, groups_.begin() + static_cast<std::ptrdiff_t>(count),
      [](const group& a, const group& b) { return is_key_before(a.key, b.key); });
  for (const group& one : std::span(groups_).first(count)) {
    const byte_view key = one.key.view();
    out.rows.push_back({.start_us = start_us,
                        .end_us = end_us,
                        .key_offset = static_cast<std::uint32_t>(out.keys.size()),
                        .key_bytes = one.key.bytes});
    out.keys.insert(out.keys.end(), key.begin(), key.end());
    for (const result_part& part : program_.results) {
      out.values.push_back(finish_part(part, one.state));
    }
  }
  groups_.clear();
}

}  // namespace millrace
