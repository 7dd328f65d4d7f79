// Folding of durable records into windows on one core: group counts, kinds of windows, keys, skew,
// sketches. The ceiling is reading the same bytes.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/endian.h"
#include "base/record_format.h"
#include "gpu/fold.h"

namespace millrace {
namespace {

constexpr std::uint32_t block_records = 16 * 1024;
constexpr std::int64_t first_us = 1'700'000'000'000'000;

/// Blocks of binary records: time, group, value (i64 each) and a text of the group; 4 Mi records in
/// all, one shard.
struct workload {
  std::vector<std::vector<std::byte>> blocks;
  std::int64_t step_ns;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;

  workload(std::uint32_t groups, bool is_skewed, std::int64_t step_ns_, std::uint32_t count)
      : step_ns(step_ns_) {
    std::mt19937_64 random(1);
    std::int64_t ns = 0;
    for (std::uint32_t at = 0; at < count; at += block_records) {
      std::vector<std::byte>& block = blocks.emplace_back();
      for (std::uint32_t i = 0; i < block_records; ++i) {
        ns += step_ns;
        const bool is_hot = is_skewed && random() % 2 == 0;
        const std::uint64_t group = is_hot ? 0 : random() % groups;
        std::byte data[40] = {};
        store(data, first_us + ns / 1000);
        store(data + 8, group);
        store(data + 16, static_cast<std::int64_t>(random() % 100'000));
        const std::string text = "user-" + std::to_string(1'000'000'000 + group);
        std::memcpy(data + 24, text.data(), std::min<std::size_t>(text.size(), 16));
        const std::size_t used = block.size();
        block.resize(used + record_stride(8, sizeof data, false));
        write_record(block.data() + used, "key-0001", data, nullptr);
      }
      records += block_records;
      bytes += block.size();
    }
  }
};

view_plan plan_of(bool by_text, std::initializer_list<aggregate_kind> kinds) {
  view_plan plan;
  plan.name = "bench";
  plan.stream = "bench";
  plan.layout = record_layout::binary;
  const auto at = [](std::uint32_t offset, binary_kind kind, std::uint32_t bytes) {
    return binary_source{.offset = offset, .bytes = bytes, .kind = kind};
  };
  plan.fields = {
      {"time", field_type::timestamp, at(0, binary_kind::i64, 0), time_format::microseconds},
      {"group", field_type::int64, at(8, binary_kind::i64, 0), {}},
      {"value", field_type::int64, at(16, binary_kind::i64, 0), {}}};
  if (by_text) {
    plan.fields[1] = {"group", field_type::string, at(24, binary_kind::text, 16), {}};
  }
  plan.time_field = 0;
  plan.group_by = {1};
  plan.groups_max = 100'000'000;
  plan.state_bytes_max = 16ull << 30;
  for (const aggregate_kind kind : kinds) {
    aggregate_plan one{std::string(to_string(kind)), kind, 2, 0.99};
    if (kind == aggregate_kind::count) one.field.reset();
    plan.aggregates.push_back(one);
  }
  return plan;
}

constexpr auto simple = {aggregate_kind::count, aggregate_kind::sum, aggregate_kind::min,
                         aggregate_kind::max};

/// Every block again and again, closing after each as far as the time has come. Times move on by
/// the span of the workload with each turn: each block's are rewritten, outside of the measurement.
void fold(benchmark::State& state, const workload& load, view_plan plan) {
  auto made = make_cpu_fold({plan});
  if (!made.ok()) return state.SkipWithError(made.failure().message().c_str());
  window_fold& fold = **made;
  std::vector<shard_clock> clocks(1);
  std::vector<fold_job::view_part> parts(1);
  parts[0].clocks = clocks;
  std::uint64_t number = 0, folded = 0, rows = 0;
  window_rows closed;
  std::vector<std::vector<std::byte>> blocks = load.blocks;
  const std::int64_t span_us = static_cast<std::int64_t>(load.records) * load.step_ns / 1000;
  const auto turn = [&] {
    for (const std::vector<std::byte>& block : blocks) {
      const fold_run run{shard_index(0), record_index(number), block_records, block};
      number += block_records;
      fold_job job{.runs = {&run, 1},
                   .arrival_us = first_us + (1ull << 40),
                   .device = nullptr,
                   .views = parts};
      if (!fold.submit(job) || !*fold.poll(job)) return state.SkipWithError("not folded");
      folded += parts[0].counts.folded;
      closed = {};
      if (!fold.close(0, clocks[0].newest_us, closed).ok()) state.SkipWithError("not closed");
      rows += closed.rows.size();
    }
  };
  const auto move_times = [&] {
    for (std::vector<std::byte>& block : blocks) {
      for (std::byte* at = block.data(); at < block.data() + block.size();
           at += record_view(at).stride()) {
        std::byte* const time = const_cast<std::byte*>(record_view(at).data().data());
        store(time, millrace::load<std::int64_t>(time) + span_us);
      }
    }
  };
  turn();
  folded = rows = 0;
  std::uint64_t turns = 0;
  for (auto _ : state) {
    state.PauseTiming();
    move_times();
    state.ResumeTiming();
    turn();
    ++turns;
  }
  if (folded != turns * load.records) state.SkipWithError("records were left out");
  state.counters["records"] =
      benchmark::Counter(static_cast<double>(folded), benchmark::Counter::kIsRate);
  state.counters["rows"] = static_cast<double>(rows) / static_cast<double>(turns);
  state.counters["state_MB"] = static_cast<double>(fold.size(0).bytes) / 1e6;
  state.SetBytesProcessed(static_cast<std::int64_t>(turns * load.bytes));
}

void read_bytes(benchmark::State& state, const workload& load) {
  for (auto _ : state) {
    std::uint64_t sum = 0;
    for (const std::vector<std::byte>& block : load.blocks) {
      for (std::size_t at = 0; at + 8 <= block.size(); at += 8) {
        sum += millrace::load<std::uint64_t>(&block[at]);
      }
    }
    benchmark::DoNotOptimize(sum);
  }
  state.counters["records"] = benchmark::Counter(
      static_cast<double>(state.iterations() * load.records), benchmark::Counter::kIsRate);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * load.bytes));
}

view_plan windowed(view_plan plan, window_kind kind, std::int64_t size_us, std::int64_t hop_us) {
  plan.window = {.kind = kind, .size_us = size_us, .hop_us = hop_us};
  return plan;
}

/// The workload is made when it runs, so that a filter costs nothing for the others.
void add(const char* name, std::uint32_t groups, bool is_skewed, std::int64_t step_ns,
         const view_plan& plan) {
  benchmark::RegisterBenchmark(name, [=](benchmark::State& state) {
    fold(state, workload(groups, is_skewed, step_ns, 4 << 20), plan);
  })->Unit(benchmark::kMillisecond);
}

int register_all() {
  constexpr std::int64_t second = 1'000'000;
  const auto tumbling = [](view_plan plan, std::int64_t size) {
    return windowed(std::move(plan), window_kind::tumbling, size, size);
  };
  const view_plan four = plan_of(false, simple);
  // A record a microsecond: a million to a second of event time.
  add("tumbling_1s/groups:1000", 1000, false, 1000, tumbling(four, second));
  add("tumbling_1s/groups:1000/skewed", 1000, true, 1000, tumbling(four, second));
  add("tumbling_1s/groups:8", 8, false, 1000, tumbling(four, second));
  add("tumbling_60s/groups:1000000", 1'000'000, false, 1000, tumbling(four, 60 * second));
  add("tumbling_10s/groups:1000000", 1'000'000, false, 1000, tumbling(four, 10 * second));
  add("tumbling_60s/groups:100000", 100'000, false, 1000, tumbling(four, 60 * second));
  add("hopping_60s_by_1s/groups:1000", 1000, false, 1000,
      windowed(four, window_kind::hopping, 60 * second, second));
  add("session_10ms/groups:1000", 1000, false, 1000,
      windowed(four, window_kind::session, 10'000, 0));
  add("tumbling_1s/strings:1000", 1000, false, 1000, tumbling(plan_of(true, simple), second));
  add("tumbling_60s/strings:1000000", 1'000'000, false, 1000,
      tumbling(plan_of(true, simple), 60 * second));
  add("tumbling_60s/p99_and_distinct/groups:1000", 1000, false, 1000,
      tumbling(plan_of(false, {aggregate_kind::count, aggregate_kind::approx_percentile,
                               aggregate_kind::approx_count_distinct}),
               60 * second));
  add("tumbling_60s/p99_and_distinct/groups:100000", 100'000, false, 1000,
      tumbling(plan_of(false, {aggregate_kind::count, aggregate_kind::approx_percentile,
                               aggregate_kind::approx_count_distinct}),
               60 * second));
  benchmark::RegisterBenchmark("ceiling/read", [](benchmark::State& state) {
    read_bytes(state, workload(1000, false, 1000, 4 << 20));
  })->Unit(benchmark::kMillisecond);
  return 0;
}
[[maybe_unused]] const int registered = register_all();

}  // namespace
}  // namespace millrace
