#pragma once
/// Fields out of records: the plan of what to look for, compiled once for a stream from the fields
/// of all its views that have the same layout, and the function that both backends run.
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "gpu/extract_program.h"
#include "gpu/simd_level.h"
#include "gpu/view_plan.h"

namespace millrace {

/// Owns the tables of an extract_program (extract_program.h), on the host. Immutable.
class extractor {
 public:
  /// `fields` may name the same source twice. At most limits::extract_fields_max.
  static result<extractor> compile(record_layout layout, char csv_delimiter,
                                   std::span<const field_plan> fields);
  /// The same with a certain instruction set, which this CPU must have.
  static result<extractor> compile(record_layout layout, char csv_delimiter,
                                   std::span<const field_plan> fields, simd_level level);

  std::uint32_t field_count() const;
  /// Valid as long as this lives, also after a move.
  extract_program program() const;
  /// The tables as one block without pointers, for a device: see extract_program.
  std::span<const std::byte> tables() const;

  /// The CPU's way through many records: the same answers as extract_record() of each, faster.
  /// Column-major: field f of record i is out[f * stride + i].
  void extract(std::span<const record_input> records, field_value* out, std::size_t stride) const;

 private:
  std::vector<std::byte> tables_;
  simd_level level_{};
};

}  // namespace millrace
