// The CPU's fold against the oracle (fold_oracle.h).
#include "gpu/fold.h"

#include "tests/gpu/fold_stream.h"

namespace millrace::testing {
namespace {

TEST(Fold, tumbling_windows_are_what_the_oracle_says) {
  expect_as_oracle(make_cpu_fold, {stream_plan()}, {.shards = 3}, {.read_open_every = 3});
}

}  // namespace
}  // namespace millrace::testing
