// Fields and windows, on one core: extraction, folding, and how folding goes with the size of a
// block, the number of groups, the skew of keys and the number of shards.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/bench_clicks.h"
#include "app/bench_context.h"
#include "app/bench_rows.h"
#include "base/clock.h"
#include "base/endian.h"
#include "base/record_format.h"
#include "gpu/extract.h"
#include "gpu/fold.h"
#include "ingest/zipf.h"

namespace millrace {
namespace {

constexpr std::int64_t first_us = 1'700'000'000'000'000;
constexpr std::uint32_t data_bytes = 24;  ///< time, group, value: i64 each
/// Of a turn: at least so many, and enough that nearly all groups are among them.
constexpr std::uint32_t records_min = 1u << 19;
constexpr std::uint32_t records_of_a_group = 4;
/// Between neighbours, so that a window of ten seconds has ten million records.
constexpr std::int64_t step_us = 1;

struct fold_setup {
  std::uint32_t groups = 1000;
  double skew = 0;
  std::uint32_t shards = 1;
  std::uint32_t block_records = 16 * 1024;
  bool hopping = false;
};

view_plan plan_of(const fold_setup& setup) {
  view_plan plan;
  plan.name = "bench";
  plan.stream = "bench";
  plan.layout = record_layout::binary;
  const auto at = [](std::uint32_t offset) {
    return binary_source{.offset = offset, .bytes = 8, .kind = binary_kind::i64};
  };
  plan.fields = {{.name = "time",
                  .type = field_type::timestamp,
                  .source = at(0),
                  .format = time_format::microseconds},
                 {.name = "group", .type = field_type::int64, .source = at(8)},
                 {.name = "value", .type = field_type::int64, .source = at(16)}};
  plan.time_field = 0;
  plan.group_by = {1};
  plan.groups_max = 100'000'000;
  plan.state_bytes_max = 16ull << 30;
  const std::int64_t second_us = 1'000'000;
  plan.window = {
      .kind = window_kind::tumbling, .size_us = 10 * second_us, .hop_us = 10 * second_us};
  if (setup.hopping)
    plan.window = {.kind = window_kind::hopping, .size_us = 60 * second_us, .hop_us = second_us};
  plan.aggregates = {{.name = "n", .kind = aggregate_kind::count, .field = {}},
                     {.name = "sum", .kind = aggregate_kind::sum, .field = 2},
                     {.name = "min", .kind = aggregate_kind::min, .field = 2},
                     {.name = "max", .kind = aggregate_kind::max, .field = 2}};
  return plan;
}

/// Blocks of binary records that are folded again and again, their times moved on each turn.
class fold_load {
 public:
  explicit fold_load(const fold_setup& setup) : setup_(setup) {
    fast_random random(1);
    zipf_ranks ranks(setup.groups, setup.skew);
    const std::uint32_t wanted = std::max(records_min, setup.groups * records_of_a_group);
    for (std::uint32_t made = 0; made < wanted; made += setup.block_records) {
      auto& block = blocks_.emplace_back(std::size_t{setup.block_records} * stride);
      for (std::uint32_t i = 0; i < setup.block_records; ++i) {
        std::byte data[data_bytes];
        store(data, std::int64_t{0});
        // Spread by a multiplier, so that frequent groups are no neighbours in a table.
        store(data + 8, ranks.next(random) * 0x9e37'79b9u);
        store(data + 16, static_cast<std::int64_t>(random.next() % 100'000));
        write_record(block.data() + std::size_t{i} * stride, key, data, nullptr);
      }
    }
  }

  /// Records a second of CPU time, building and moving times left out.
  result<double> rate(double seconds) {
    MILLRACE_ASSIGN(const auto fold, make_cpu_fold({plan_of(setup_)}));
    std::vector<shard_clock> clocks(setup_.shards);
    std::vector<fold_job::view_part> parts(1);
    parts[0].clocks = clocks;
    std::vector<fold_run> runs(setup_.shards);
    std::vector<record_index> next(setup_.shards);
    const std::uint32_t run_records = setup_.block_records / setup_.shards;
    std::uint64_t folded = 0;
    std::uint64_t used = 0;
    // The first turn builds the tables.
    for (bool warm = false; static_cast<double>(used) < seconds * 1e9; warm = true) {
      for (auto& block : blocks_) {
        set_times(block);
        for (std::uint32_t s = 0; s < setup_.shards; ++s) {
          runs[s] = {shard_index(s), next[s], run_records,
                     byte_view(block).subspan(std::size_t{s} * run_records * stride,
                                              std::size_t{run_records} * stride)};
          next[s] = next[s].next(run_records);
        }
        const std::uint64_t began = thread_cpu_ns();
        MILLRACE_TRY(fold_block(*fold, runs, parts));
        if (!warm) continue;
        used += thread_cpu_ns() - began;
        folded += parts[0].counts.folded;
      }
    }
    return static_cast<double>(folded) * 1e9 / static_cast<double>(used);
  }

 private:
  static constexpr std::string_view key = "key-0001";
  const std::uint32_t stride = record_stride(key.size(), data_bytes, false);

  void set_times(std::vector<std::byte>& block) {
    for (std::size_t at = 0; at < block.size(); at += stride) {
      const byte_view data = record_view(block.data() + at).data();
      store(block.data() + (data.data() - block.data()), now_us_);
      now_us_ += step_us;
    }
  }

  static status fold_block(window_fold& fold, std::vector<fold_run>& runs,
                           std::vector<fold_job::view_part>& parts) {
    fold_job job{.runs = runs,
                 .arrival_us = static_cast<std::uint64_t>(first_us) + (1ull << 40),
                 .device = nullptr,
                 .views = parts};
    if (!fold.submit(job)) return error(error_code::unavailable, "the fold took no job");
    for (bool is_done = false; !is_done;) {
      MILLRACE_ASSIGN(is_done, fold.poll(job));
    }
    std::int64_t watermark_us = INT64_MAX;
    for (const shard_clock& clock : parts[0].clocks)
      watermark_us = std::min(watermark_us, clock.newest_us);
    window_rows closed;
    return fold.close(0, watermark_us, closed);
  }

  fold_setup setup_;
  std::vector<std::vector<std::byte>> blocks_;
  std::int64_t now_us_ = first_us;
};

/// Rows as a fold has them, changed in random order by nothing but a loop.
status rows_figure(bench_context& context, const std::string& name, std::uint32_t rows,
                   row_access access) {
  return context.measure({.group = "windows, one core", .name = name, .unit = "rows/s"},
                         [&]() -> result<double> {
                           return row_change_rate(rows, access, context.options().seconds / 2);
                         });
}

/// `ceiling`: the figure of the rows alone.
status fold_figure(bench_context& context, const std::string& name, const fold_setup& setup,
                   double wanted, const std::string& ceiling) {
  fold_load load(setup);
  return context.measure(
      {.group = "windows, one core",
       .name = name,
       .unit = "records/s",
       .ceiling = context.median_of("windows, one core", ceiling),
       .ceiling_name = "rows alone",
       .note = wanted > 0 ? fmt::format("wanted: {:.0f} M records/s", wanted / 1e6) : ""},
      [&] { return load.rate(context.options().seconds / 2); });
}

result<double> extract_rate(const std::vector<record_input>& records, std::uint64_t bytes,
                            double seconds) {
  const view_plan plan = click_plan("bench");
  MILLRACE_ASSIGN(const extractor fields, extractor::compile(plan.layout, ',', plan.fields));
  constexpr std::size_t chunk = 256;
  std::vector<field_value> out(plan.fields.size() * chunk);
  const std::uint64_t began = thread_cpu_ns();
  std::uint64_t turns = 0;
  std::uint64_t used = 0;
  do {
    for (std::size_t at = 0; at < records.size(); at += chunk) {
      const auto some = std::span(records).subspan(at, std::min(chunk, records.size() - at));
      fields.extract(some, out.data(), chunk);
    }
    ++turns;
    used = thread_cpu_ns() - began;
  } while (static_cast<double>(used) < seconds * 1e9);
  return static_cast<double>(turns * bytes) * 1e9 / static_cast<double>(used);
}

status extract_figure(bench_context& context) {
  std::vector<std::vector<std::byte>> stored;
  std::vector<record_input> records;
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < 16 * 1024; ++i) {
    const std::string text = click_json(i);
    auto& one = stored.emplace_back(record_stride(8, text.size(), false));
    write_record(one.data(), "key-0001", std::as_bytes(std::span(text)), nullptr);
    records.push_back({.bytes = one.data(),
                       .arrival_us = 0,
                       .number = i,
                       .shard = 0,
                       .stride = static_cast<std::uint32_t>(one.size())});
    bytes += text.size();
  }
  return context.measure(
      {.group = "windows, one core",
       .name = fmt::format("3 fields out of {}-byte JSON", click_json(0).size()),
       .unit = "bytes/s",
       .ceiling = context.median_of("hardware", "memory copy, one core"),
       .ceiling_name = "memory copy"},
      [&] { return extract_rate(records, bytes, context.options().seconds / 2); });
}

/// One line of a plot: the rate at each value of one thing, all else as in `fold_setup`.
status sweep(bench_context& context, const std::string& name, const std::string& x_name,
             const std::vector<double>& values, void (*set)(fold_setup&, double)) {
  bench_sweep out{.name = name, .x_name = x_name, .unit = "records/s", .points = {}};
  for (const double value : values) {
    fold_setup setup;
    set(setup, value);
    fold_load load(setup);
    MILLRACE_ASSIGN(const double rate, load.rate(context.options().seconds / 4));
    out.points.push_back({value, rate});
  }
  context.add(std::move(out));
  return {};
}

}  // namespace

status bench_windows(bench_context& context) {
  MILLRACE_TRY(extract_figure(context));
  const std::string near_rows = "rows of 64 bytes alone, 1 thousand";
  const std::string far_rows = "rows of 64 bytes alone, 1 million";
  const std::string found_rows = far_rows + ", each found by a slot of 16 bytes";
  MILLRACE_TRY(rows_figure(context, near_rows, 1000, row_access::by_slot));
  MILLRACE_TRY(rows_figure(context, far_rows, 1'000'000, row_access::direct));
  MILLRACE_TRY(rows_figure(context, found_rows, 1'000'000, row_access::by_slot));
  const std::string tumbling = "fold, count sum min max, tumbling 10 s, ";
  MILLRACE_TRY(
      fold_figure(context, tumbling + "1 thousand groups", {.groups = 1000}, 29e6, near_rows));
  MILLRACE_TRY(
      fold_figure(context, tumbling + "1 million groups", {.groups = 1'000'000}, 20e6, found_rows));
  const std::string hopping = "fold, the same, hopping 60 s by 1 s, 1 thousand groups";
  MILLRACE_TRY(fold_figure(context, hopping, {.groups = 1000, .hopping = true}, 0, near_rows));
  context.add({.group = "windows, one core",
               .name = "hopping costs, times tumbling",
               .unit = "times",
               .median = context.median_of("windows, one core", tumbling + "1 thousand groups") /
                         context.median_of("windows, one core", hopping),
               .note = "wanted: at most 1.5"});
  return {};
}

status bench_sweeps(bench_context& context) {
  MILLRACE_TRY(sweep(context, "fold against the records of a block", "records a block",
                     {64, 256, 1024, 4096, 16'384, 65'536}, [](fold_setup& s, double v) {
                       s.block_records = static_cast<std::uint32_t>(v);
                     }));
  MILLRACE_TRY(sweep(context, "fold against the number of groups", "groups",
                     {1, 8, 100, 1000, 10'000, 100'000, 1'000'000},
                     [](fold_setup& s, double v) { s.groups = static_cast<std::uint32_t>(v); }));
  MILLRACE_TRY(sweep(context, "fold against the skew of keys, 100 000 groups", "Zipf exponent",
                     {0, 0.5, 0.8, 1, 1.2, 1.5}, [](fold_setup& s, double v) {
                       s.groups = 100'000;
                       s.skew = v;
                     }));
  return sweep(context, "fold against the number of shards", "shards", {1, 4, 16, 64, 256, 1024},
               [](fold_setup& s, double v) { s.shards = static_cast<std::uint32_t>(v); });
}

}  // namespace millrace
