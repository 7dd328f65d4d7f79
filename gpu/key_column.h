#pragma once
/// The group keys of a batch on the CPU: encoded, filled with zeros to whole words, hashed.
#include <cstdint>
#include <vector>

#include "gpu/fold_batch.h"
#include "gpu/fold_program.h"
#include "gpu/group_table.h"

namespace millrace {

class key_column {
 public:
  explicit key_column(const fold_program& program);

  /// Fills in `key` and `hash`. Records whose key is over limits::group_key_bytes_max leave the
  /// batch; returns how many. The keys stay here until the next call.
  /// Slots in `lines` are under way then.
  std::uint32_t encode(fold_batch& batch, slot_lines lines);

 private:
  void encode_fixed_keys(fold_batch& batch, slot_lines lines);
  void encode_one_number(fold_batch& batch, slot_lines lines);

  const fold_program& program_;
  std::uint32_t stride_words_;  ///< of one key here
  std::vector<std::uint64_t> words_;
};

}  // namespace millrace
