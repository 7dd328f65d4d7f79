#pragma once
/// What passes between the steps of a fold on the CPU: some hundred records at a time, column by
/// column, so that everything stays in the caches nearby.
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"
#include "gpu/extract_program.h"
#include "gpu/field_value.h"

namespace millrace {

/// Records that go through the steps together: enough to hide a miss of the cache behind the
/// others.
inline constexpr std::uint32_t fold_chunk_records = 256;

/// Records and their extracted fields, of one block but of one or more of its runs.
struct fold_chunk {
  struct segment {
    std::uint32_t run = 0;  ///< of the job
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };
  std::uint64_t arrival_us = 0;
  std::uint32_t count = 0;
  std::array<record_input, fold_chunk_records> room;  ///< the first `count` are filled in
  std::vector<segment> segments;
  std::vector<field_value> fields;  ///< field f of record i: [f * fold_chunk_records + i]

  std::span<const record_input> records() const { return std::span(room).first(count); }
  const field_value* column(std::uint16_t field) const {
    return &fields[std::size_t{field} * fold_chunk_records];
  }
};

/// A group's key, filled with zeros to whole words.
struct key_ref {
  const std::uint64_t* words;
  std::uint32_t bytes;

  std::uint32_t word_count() const { return (bytes + 7) / 8; }
  byte_view view() const { return {reinterpret_cast<const std::byte*>(words), bytes}; }
};

/// The records of a chunk that one view folds.
struct fold_batch {
  const fold_chunk* chunk = nullptr;
  std::uint32_t count = 0;
  std::uint16_t index[fold_chunk_records];  ///< in the chunk
  std::int64_t time_us[fold_chunk_records];
  key_ref key[fold_chunk_records];
  std::uint64_t hash[fold_chunk_records];
  std::uint64_t* state[fold_chunk_records];  ///< of its group
};

}  // namespace millrace
