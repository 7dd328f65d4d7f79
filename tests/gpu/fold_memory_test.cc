// fold_size::bytes against what is allocated: every operator new of this program is counted.
#include "gpu/fold_memory.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <ostream>

#include "gpu/fold.h"
#include "gpu/window_math.h"
#include "tests/gpu/fold_stream.h"

namespace {
std::size_t live_bytes = 0;  // as asked for; one thread

/// How many bytes were asked for lies right before them.
void* take(std::size_t bytes, std::size_t alignment) {
  void* const block =
      std::aligned_alloc(alignment, (bytes + 2 * alignment - 1) / alignment * alignment);
  if (block == nullptr) throw std::bad_alloc();
  auto* const at = static_cast<std::byte*>(block) + alignment;
  std::memcpy(at - sizeof bytes, &bytes, sizeof bytes);
  live_bytes += bytes;
  return at;
}
void give_back(void* at, std::size_t alignment) {
  if (at == nullptr) return;
  std::size_t bytes = 0;
  std::memcpy(&bytes, static_cast<std::byte*>(at) - sizeof bytes, sizeof bytes);
  live_bytes -= bytes;
  std::free(static_cast<std::byte*>(at) - alignment);
}
constexpr std::size_t common = 16;
}  // namespace

void* operator new(std::size_t bytes) {
  return take(bytes, common);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return take(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  try {
    return take(bytes, static_cast<std::size_t>(alignment));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* at) noexcept {
  give_back(at, common);
}
void operator delete(void* at, std::size_t) noexcept {
  give_back(at, common);
}
void operator delete(void* at, std::align_val_t alignment) noexcept {
  give_back(at, static_cast<std::size_t>(alignment));
}
void operator delete(void* at, std::size_t, std::align_val_t alignment) noexcept {
  give_back(at, static_cast<std::size_t>(alignment));
}

namespace millrace::testing {
namespace {

/// Beside the state: what a fold has of its plan, and for a block.
constexpr std::size_t slack_bytes = 1 << 20;

struct memory_case {
  const char* name;
  window_kind kind;
  std::vector<std::uint16_t> group_by;
  bool has_sketches;
  std::uint32_t groups;

  friend std::ostream& operator<<(std::ostream& to, const memory_case& one) {
    return to << one.name;
  }
};

class FoldMemory : public ::testing::TestWithParam<memory_case> {};

TEST_P(FoldMemory, the_bytes_that_a_view_names_are_those_that_it_has) {
  const memory_case& one = GetParam();
  view_plan plan = stream_plan(one.group_by);
  if (one.has_sketches) add_sketches(plan);
  plan.window = {.kind = one.kind, .size_us = 100'000, .hop_us = 50'000};
  if (one.kind == window_kind::tumbling) plan.window.hop_us = plan.window.size_us;
  plan.delay_us = window_us_max;  // nothing is late
  const std::vector<stream_record> stream = make_stream(
      {.records = 60'000, .groups = one.groups, .key_bytes_max = 256, .time_step_us = 5});
  stream_cutter cutter(stream, {4000}, 1'700'000'000'300'000);
  stream_cutter::block block;
  auto fold = make_cpu_fold({plan});
  ASSERT_TRUE(fold.ok());
  std::vector<view_clocks> clocks(1);
  // The first block makes what a fold needs for any.
  ASSERT_TRUE(cutter.next(block));
  {
    std::vector<fold_job::view_part> parts(1);
    fold_block(**fold, block, clocks, parts);
  }
  block = {};
  const std::size_t before = live_bytes - (*fold)->size(0).bytes;
  while (cutter.next(block)) {
    std::vector<fold_job::view_part> parts(1);
    ASSERT_NO_FATAL_FAILURE(fold_block(**fold, block, clocks, parts));
    ASSERT_EQ(parts[0].counts.left_out, 0u);
  }
  block = {};
  const std::size_t named = (*fold)->size(0).bytes;
  const std::size_t has = live_bytes - before;
  EXPECT_GT(named, 2 * slack_bytes) << "a state that says something";
  EXPECT_LE(named, has + slack_bytes);
  EXPECT_LE(has, named + named / 50 + slack_bytes);

  window_rows rows;
  ASSERT_TRUE((*fold)->close(0, INT64_MAX, rows).ok());
  rows = {};
  // Sessions keep their memory for the next ones; of panes only the last one's large blocks are
  // kept.
  if (one.kind != window_kind::session) {
    EXPECT_LT((*fold)->size(0).bytes, named);
  }
  EXPECT_LE(live_bytes, before + (*fold)->size(0).bytes + slack_bytes);
}

constexpr std::size_t large_words = std::size_t{1} << 18;

TEST(SpareBlocks, a_large_block_that_is_left_goes_to_whoever_takes_its_size_next) {
  memory_budget budget = unlimited_budget();
  std::uint64_t* const first = take_words(budget, large_words);
  leave_words(budget, first, large_words);
  EXPECT_EQ(budget.bytes, 0u);
  EXPECT_EQ(budget.spare.bytes(), large_words * 8);
  std::uint64_t* const other = take_words(budget, 2 * large_words);
  EXPECT_NE(other, first);
  std::uint64_t* const again = take_words(budget, large_words);
  EXPECT_EQ(again, first);
  EXPECT_EQ(budget.spare.bytes(), 0u);
  give_words(budget, other, 2 * large_words);
  give_words(budget, again, large_words);
}

TEST(SpareBlocks, what_is_kept_gives_way_where_the_limit_needs_it) {
  memory_budget budget{.bytes_max = 3 * large_words * 8, .groups_max = 1};
  std::uint64_t* const first = take_words(budget, large_words);
  std::uint64_t* const second = take_words(budget, large_words);
  leave_words(budget, first, large_words);
  leave_words(budget, second, large_words);
  std::uint64_t* const larger = take_words(budget, 2 * large_words);
  ASSERT_NE(larger, nullptr);
  EXPECT_LE(budget.bytes + budget.spare.bytes(), budget.bytes_max);
  EXPECT_EQ(budget.spare.bytes(), large_words * 8);
  give_words(budget, larger, 2 * large_words);
}

TEST(SpareBlocks, small_blocks_are_not_kept_and_trimming_frees_the_oldest) {
  memory_budget budget = unlimited_budget();
  leave_words(budget, take_words(budget, 64), 64);
  EXPECT_EQ(budget.spare.bytes(), 0u);
  std::uint64_t* const first = take_words(budget, large_words);
  std::uint64_t* const second = take_words(budget, 2 * large_words);
  leave_words(budget, first, large_words);
  leave_words(budget, second, 2 * large_words);
  const std::size_t live = live_bytes;
  budget.spare.trim(2 * large_words * 8);
  EXPECT_EQ(live - live_bytes, large_words * 8);
  EXPECT_EQ(budget.spare.bytes(), 2 * large_words * 8);
}

INSTANTIATE_TEST_SUITE_P(
    , FoldMemory,
    ::testing::Values(
        memory_case{"rows", window_kind::tumbling, {group_f}, false, 30'000},
        memory_case{"far_keys", window_kind::tumbling, {key_f, text_f}, false, 30'000},
        memory_case{"sketches", window_kind::hopping, {group_f}, true, 100},
        memory_case{"sessions", window_kind::session, {group_f}, false, 30'000},
        memory_case{"sessions_with_sketches", window_kind::session, {key_f}, true, 2000}),
    [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace millrace::testing
