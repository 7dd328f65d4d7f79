#pragma once
/// The open windows of one view on the CPU; two kinds, of panes and of sessions.
#include <cstdint>

#include "gpu/fold.h"
#include "gpu/fold_batch.h"
#include "gpu/fold_snapshot.h"
#include "gpu/group_table.h"

namespace millrace {

class window_store {
 public:
  virtual ~window_store() = default;

  /// Where the groups of a record of that time are looked for, as far as is known.
  virtual slot_lines lines_at(std::int64_t time_us) const = 0;
  /// Puts the records into their groups. Returns how many there was no room for.
  virtual std::uint32_t fold(fold_batch& batch) = 0;
  /// As window_fold has them.
  virtual void close(std::int64_t watermark_us, window_rows& out) = 0;
  virtual void read_open(const open_range& range, window_rows& out) = 0;
  virtual std::uint64_t windows() const = 0;
  virtual void snapshot(std::vector<std::byte>& out) const = 0;
  /// Into an empty one; after an error it holds a part.
  virtual status restore(snapshot_reader& from) = 0;
};

}  // namespace millrace
