#pragma once
/// The open windows of one view on the CPU; two kinds, of panes and of sessions.
#include <cstdint>

#include "gpu/fold.h"
#include "gpu/fold_batch.h"

namespace millrace {

class window_store {
 public:
  virtual ~window_store() = default;

  /// Puts the records into their groups. Returns how many there was no room for.
  virtual std::uint32_t fold(fold_batch& batch) = 0;
  /// As window_fold has them.
  virtual void close(std::int64_t watermark_us, window_rows& out) = 0;
  virtual void read_open(std::uint32_t rows_max, window_rows& out) = 0;
  virtual std::uint64_t windows() const = 0;
};

}  // namespace millrace
