// What a fold on a device does when the device fails, what it does at its limits, and how it finds
// the records that routing left there. Emulated machines alone can fail on request.
#include "gpu/cuda_backend.h"
#include "gpu/cuda_fold.h"
#include "gpu/shard_map.h"
#include "tests/gpu/fold_stream.h"
#include "tests/gpu/gpu_machine.h"

namespace millrace::testing {
namespace {

result<std::unique_ptr<window_fold>> make(std::vector<view_plan> plans) {
  return make_cuda_fold(std::move(plans),
                        {.devices_max = 16, .block_bytes_max = 1 << 20, .block_records_max = 4096});
}

/// A fold that a fault may take away: another one, on the CPU, goes on from the last snapshot, and
/// the blocks since are folded again, as a view's lane does it.
class fold_with_heir {
 public:
  explicit fold_with_heir(std::vector<view_plan> plans) : plans_(std::move(plans)) {
    auto made = make(plans_);
    EXPECT_TRUE(made.ok()) << made.failure().message();
    fold_ = *std::move(made);
    clocks_.resize(plans_.size());
    save();
  }

  void fold(std::shared_ptr<const stream_cutter::block> block) {
    since_.push_back({block, 0, 0});
    if (!try_fold(*block)) inherit();
  }
  void close(std::uint32_t view, std::int64_t watermark_us, window_rows& out) {
    const status closed = fold_->close(view, watermark_us, out);
    if (!closed.ok()) {
      why_ = closed.failure().message();
      ASSERT_TRUE(out.rows.empty()) << "a fault gives no rows";
      inherit();
      ASSERT_TRUE(fold_->close(view, watermark_us, out).ok());
    }
    since_.push_back({nullptr, view, watermark_us});
  }
  void save() {
    std::vector<std::vector<std::byte>> all(plans_.size());
    for (std::uint32_t v = 0; v < plans_.size(); ++v) {
      const status taken = fold_->snapshot(v, all[v]);
      if (taken.ok()) continue;
      why_ = taken.failure().message();
      return inherit();
    }
    saved_ = std::move(all);
    saved_clocks_ = clocks_;
    since_.clear();
  }
  std::int64_t watermark(std::uint32_t view, std::uint32_t shards) const {
    return clocks_[view].watermark(plans_[view], shards);
  }
  bool was_lost() const { return was_lost_; }
  const std::string& why() const { return why_; }

 private:
  /// A block that was folded, or a view that was closed.
  struct step {
    std::shared_ptr<const stream_cutter::block> block;
    std::uint32_t view;
    std::int64_t watermark_us;
  };
  bool try_fold(const stream_cutter::block& block) {
    std::vector<std::vector<shard_clock>> clocks(plans_.size());
    std::vector<fold_job::view_part> parts(plans_.size());
    for (std::size_t v = 0; v < plans_.size(); ++v) {
      for (const fold_run& run : block.runs)
        clocks[v].push_back(clocks_[v].shards[run.shard.value]);
      parts[v].clocks = clocks[v];
    }
    fold_job job{
        .runs = block.runs, .arrival_us = block.arrival_us, .device = nullptr, .views = parts};
    EXPECT_TRUE(fold_->submit(job));
    for (;;) {
      const result<bool> done = fold_->poll(job);
      if (!done.ok()) {
        why_ = done.failure().message();
        return false;
      }
      if (*done) break;
    }
    for (std::size_t v = 0; v < plans_.size(); ++v) {
      for (std::size_t r = 0; r < block.runs.size(); ++r)
        clocks_[v].shards[block.runs[r].shard.value] = clocks[v][r];
    }
    return true;
  }
  void inherit() {
    ASSERT_FALSE(was_lost_) << "the CPU's fold never fails";
    was_lost_ = true;
    fold_ = *make_cpu_fold(plans_);
    for (std::uint32_t v = 0; v < plans_.size(); ++v) {
      const status restored = fold_->restore(v, saved_[v]);
      ASSERT_TRUE(restored.ok()) << restored.failure().message();
    }
    clocks_ = saved_clocks_;
    for (const step& one : since_) {
      window_rows known;
      if (one.block != nullptr) {
        ASSERT_TRUE(try_fold(*one.block));
      } else {
        ASSERT_TRUE(fold_->close(one.view, one.watermark_us, known).ok());
      }
    }
  }

  std::vector<view_plan> plans_;
  std::unique_ptr<window_fold> fold_;
  std::vector<view_clocks> clocks_;
  std::vector<std::vector<std::byte>> saved_;
  std::vector<view_clocks> saved_clocks_;
  std::vector<step> since_;
  bool was_lost_ = false;
  std::string why_;
};

class CudaFoldFaults : public ::testing::Test {
 protected:
  void SetUp() override {
    if (is_real_machine()) GTEST_SKIP() << "faults are injected into emulated machines alone";
  }
  static std::vector<view_plan> plans() {
    view_plan tumbling = stream_plan({text_f});
    view_plan hopping = stream_plan();
    add_sketches(hopping);
    hopping.name = "w";
    hopping.window = {.kind = window_kind::hopping, .size_us = 90'000, .hop_us = 30'000};
    return {tumbling, hopping};
  }
  /// The whole stream, with a fault after so many calls of its kind, against the oracle.
  static std::string run(machine_fault what, int after) {
    EXPECT_EQ(start_machine(1, 3, false), "");
    fold_with_heir fold(plans());
    std::vector<view_oracle> oracles;
    for (const view_plan& plan : plans())
      oracles.emplace_back(plan);
    std::vector<view_clocks> oracle_clocks(oracles.size());
    const std::vector<stream_record> stream = make_stream({.records = 500, .shards = 2});
    stream_cutter cutter(stream, {60}, 1'700'000'000'500'000);
    inject_fault(what, 0, after);
    for (int turn = 1;; ++turn) {
      const auto block = std::make_shared<stream_cutter::block>();
      if (!cutter.next(*block)) break;
      fold.fold(block);
      for (std::uint32_t v = 0; v < oracles.size(); ++v) {
        oracle_block(oracles[v], *block, oracle_clocks[v]);
        const std::int64_t watermark = fold.watermark(v, 2);
        if (watermark == shard_clock::never) continue;
        window_rows rows;
        fold.close(v, watermark, rows);
        expect_rows(oracles[v].close(watermark), rows, plans()[v]);
      }
      if (turn % 2 == 0) fold.save();
    }
    for (std::uint32_t v = 0; v < oracles.size(); ++v) {
      window_rows rows;
      fold.close(v, 1ll << 61, rows);
      expect_rows(oracles[v].close(1ll << 61), rows, plans()[v]);
    }
    EXPECT_TRUE(fold.was_lost());
    return fold.why();
  }
};

TEST_F(CudaFoldFaults, a_lost_device_leaves_the_cpu_to_go_on_from_the_last_checkpoint) {
  for (const int after : {200, 333, 500}) {
    SCOPED_TRACE(after);
    run(machine_fault::lost_device, after);
  }
}

TEST_F(CudaFoldFaults, a_kernel_that_dies_is_named_and_the_cpu_goes_on) {
  const std::string why = run(machine_fault::failed_kernel, 20);
  EXPECT_NE(why.find("device 0: "), std::string::npos) << why;
  EXPECT_NE(why.find("unspecified launch failure"), std::string::npos) << why;
}

TEST_F(CudaFoldFaults, a_launch_that_is_refused_leaves_the_cpu_to_go_on) {
  for (const int after : {3, 17, 40}) {
    SCOPED_TRACE(after);
    run(machine_fault::failed_launch, after);
  }
}

TEST_F(CudaFoldFaults, a_device_without_memory_for_more_groups_leaves_the_cpu_to_go_on) {
  run(machine_fault::out_of_memory, 0);
  run(machine_fault::out_of_memory, 7);
}

TEST_F(CudaFoldFaults, without_memory_at_the_start_the_cpu_folds_and_says_why) {
  ASSERT_EQ(start_machine(1, 1, false), "");
  inject_fault(machine_fault::out_of_memory, 0, 5);
  const auto fold = make_fold("auto", plans());
  ASSERT_TRUE(fold.ok());
  const std::string said = (*fold)->describe();
  EXPECT_EQ(said.substr(0, 20), "cpu; no CUDA: device") << said;
  EXPECT_NE(said.find("out of memory"), std::string::npos) << said;
}

TEST_F(CudaFoldFaults, where_there_is_a_device_it_folds_unless_all_are_sessions) {
  ASSERT_EQ(start_machine(2, 1, false), "");
  std::vector<view_plan> some = plans();
  EXPECT_EQ((*make_fold("cuda", some))->describe(), "cuda (emulated device 0, 2 devices)");
  some[0].window = {.kind = window_kind::session, .size_us = 1000, .hop_us = 0};
  EXPECT_EQ((*make_fold("auto", some))->describe(),
            "cuda (emulated device 0, 2 devices; sessions on the CPU)");
  some.pop_back();
  EXPECT_EQ((*make_fold("auto", some))->describe(), "cpu; no CUDA: sessions are folded by the CPU");
  EXPECT_EQ((*make_fold("cpu", plans()))->describe().substr(0, 3), "cpu");
}

}  // namespace
}  // namespace millrace::testing
