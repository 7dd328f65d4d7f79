// The emulated machine finds the mistakes that it is there for, and none in what is right.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/gpu/emulation/control.h"
#include "tests/gpu/planted_kernels.h"

namespace millrace {
namespace {

using emulation::settings;

class emulation_test : public testing::Test {
 protected:
  /// Runs a kernel on a fresh machine.
  bool run(planted which, std::uint32_t blocks, std::uint64_t seed, bool find_races) {
    emulation::reset({.seed = seed, .stop_one_in = 3, .find_races = find_races});
    return run_planted(which, blocks, out_);
  }
  /// Every seed says so, and in these words.
  void expect_found(planted which, std::uint32_t blocks, const std::string& words) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      EXPECT_FALSE(run(which, blocks, seed, true)) << seed;
      ASSERT_EQ(emulation::findings().size(), 1u) << seed;
      EXPECT_NE(emulation::findings()[0].find(words), std::string::npos)
          << emulation::findings()[0];
    }
  }
  std::vector<std::uint32_t> out_;
};

/// Whether accesses are marked by the compiler; a build under a sanitizer has no marks.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool has_marks = false;
#else
constexpr bool has_marks = true;
#endif

TEST_F(emulation_test, finds_nothing_in_kernels_that_are_right) {
  for (const bool find_races : {false, true}) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      ASSERT_TRUE(run(planted::reversed, 3, seed, find_races)) << emulation::findings()[0];
      for (std::uint32_t i = 0; i < out_.size(); ++i)
        ASSERT_EQ(out_[i], i / 64 * 64 + 63 - i % 64);
      ASSERT_TRUE(run(planted::counted, 3, seed, find_races)) << emulation::findings()[0];
      ASSERT_EQ(out_[0], 3u * 64);
      ASSERT_TRUE(run(planted::warp_sum, 1, seed, find_races)) << emulation::findings()[0];
      ASSERT_EQ(out_[5], 31u * 32 / 2);
      ASSERT_EQ(out_[40], 63u * 64 / 2 - 31u * 32 / 2);
    }
  }
}

TEST_F(emulation_test, catches_a_removed_barrier_by_the_wrong_answer) {
  if (!has_marks) GTEST_SKIP() << "accesses are not marked in a sanitizer build";
  int wrong = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    ASSERT_TRUE(run(planted::missing_barrier, 1, seed, false));
    bool is_reversed = true;
    for (std::uint32_t i = 0; i < 64; ++i)
      is_reversed = is_reversed && out_[i] == 63 - i;
    wrong += is_reversed ? 0 : 1;
  }
  EXPECT_EQ(wrong, 20);
}

TEST_F(emulation_test, catches_a_racy_update_by_the_lost_counts) {
  if (!has_marks) GTEST_SKIP() << "accesses are not marked in a sanitizer build";
  int wrong = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    ASSERT_TRUE(run(planted::racy_count, 1, seed, false));
    wrong += out_[0] == 64 ? 0 : 1;
  }
  EXPECT_EQ(wrong, 20);
}

TEST_F(emulation_test, names_the_races_of_a_block_of_a_warp_and_between_blocks) {
  if (!has_marks) GTEST_SKIP() << "accesses are not marked in a sanitizer build";
  expect_found(planted::missing_barrier, 1, "no barrier between them");
  expect_found(planted::racy_count, 1, "no barrier between them");
  expect_found(planted::racy_count_in_blocks, 2, "no barrier between them");
  expect_found(planted::missing_warp_barrier, 1, "no barrier between them");
}

TEST_F(emulation_test, finds_threads_that_do_not_meet) {
  expect_found(planted::divergent_barrier, 1, "threads wait at different barriers");
  expect_found(planted::left_barrier, 1, "ended without the barrier");
  expect_found(planted::absent_lane, 1, "nobody can go on");
}

TEST_F(emulation_test, finds_writes_past_an_allocation) {
  expect_found(planted::overrun, 1, "past the end of an allocation");
}

TEST_F(emulation_test, gives_the_same_run_for_the_same_seed) {
  if (!has_marks) GTEST_SKIP() << "accesses are not marked in a sanitizer build";
  ASSERT_TRUE(run(planted::missing_barrier, 1, 5, false));
  const auto first = out_;
  ASSERT_TRUE(run(planted::missing_barrier, 1, 5, false));
  EXPECT_EQ(out_, first);
  ASSERT_TRUE(run(planted::missing_barrier, 1, 6, false));
  EXPECT_NE(out_, first);
}

TEST_F(emulation_test, the_host_cannot_touch_device_memory_or_use_what_broke) {
  emulation::reset();
  emulation::inject(emulation::fault::failed_launch);
  EXPECT_FALSE(run_planted(planted::counted, 1, out_));
  EXPECT_TRUE(run_planted(planted::counted, 1, out_));
  emulation::inject(emulation::fault::failed_kernel);
  EXPECT_FALSE(run_planted(planted::counted, 1, out_));
  EXPECT_FALSE(run_planted(planted::counted, 1, out_));
  emulation::reset();
  emulation::inject(emulation::fault::out_of_memory);
  EXPECT_FALSE(run_planted(planted::counted, 1, out_));
  EXPECT_TRUE(run_planted(planted::counted, 1, out_));
  emulation::inject(emulation::fault::lost_device, 0, 2);
  EXPECT_FALSE(run_planted(planted::counted, 1, out_));
  EXPECT_FALSE(run_planted(planted::counted, 1, out_));
}

}  // namespace
}  // namespace millrace
