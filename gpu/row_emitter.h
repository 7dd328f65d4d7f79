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

  void add(std::int64_t start_us, std::int64_t end_us, key_ref key, const std::uint64_t* state) {
    groups_.push_back({start_us, end_us, key, state, {}});
  }
  /// Appends what was added since, at most `rows_max` rows, to `out`. Of one window where the plan
  /// asks for its top rows.
  void emit(std::uint64_t rows_max, window_rows& out);

 private:
  struct group {
    std::int64_t start_us;
    std::int64_t end_us;
    key_ref key;
    const std::uint64_t* state;
    result_value rank;  ///< what the top rows go by
  };
  static bool is_before(const group& a, const group& b);
  void keep_top();

  const fold_program& program_;
  std::vector<group> groups_;
};

}  // namespace millrace
