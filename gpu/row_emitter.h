#pragma once
/// Groups of a window into rows of a result: sorted, cut to the top ones, finished.
#include <cstdint>
#include <vector>

#include "gpu/fold.h"
#include "gpu/fold_batch.h"
#include "gpu/fold_program.h"

namespace millrace {

class row_emitter {
 public:
  explicit row_emitter(const fold_program& program) : program_(program) {}

  void add(key_ref key, const std::uint64_t* state) { groups_.push_back({key, state, {}}); }
  /// Appends what was added as the rows of the window, at most `rows_max`, and forgets it.
  void emit(std::int64_t start_us, std::int64_t end_us, std::uint64_t rows_max, window_rows& out);

 private:
  struct group {
    key_ref key;
    const std::uint64_t* state;
    result_value rank;  ///< what the top rows go by
  };
  void keep_top();

  const fold_program& program_;
  std::vector<group> groups_;
};

}  // namespace millrace
