#pragma once
/// Seeded streams of records in blocks, and the run that holds any window_fold against the oracle.
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "gpu/group_hash.h"
#include "tests/gpu/fold_oracle.h"

namespace millrace::testing {

/// The fields of the generated records: a binary layout in which a record that ends early has nulls
/// from there on, and a boolean byte of 2 or more is of the wrong type.
enum stream_field : std::uint16_t {
  time_f,
  group_f,
  int_f,
  real_f,
  flag_f,
  text_f,
  key_f,
  fields_end
};

inline std::vector<field_plan> stream_fields() {
  const auto binary = [](std::uint32_t offset, binary_kind kind, std::uint32_t bytes = 0) {
    return binary_source{.offset = offset, .bytes = bytes, .kind = kind};
  };
  return {
      {"time", field_type::timestamp, binary(0, binary_kind::i64), time_format::microseconds},
      {"group", field_type::int64, binary(8, binary_kind::i32), {}},
      {"int", field_type::int64, binary(12, binary_kind::i64), {}},
      {"real", field_type::float64, binary(20, binary_kind::f64), {}},
      {"flag", field_type::boolean, binary(28, binary_kind::u8), {}},
      {"text", field_type::string, binary(29, binary_kind::text, 16), {}},
      {"key", field_type::string, builtin_field::partition_key, {}},
  };
}

struct stream_options {
  std::uint64_t seed = 1;
  std::uint32_t records = 1000;
  std::uint32_t shards = 1;
  std::uint32_t groups = 10;
  bool is_skewed = false;              ///< half of the records in one group
  std::uint32_t key_bytes_max = 8;     ///< of partition keys, from 1
  std::uint32_t null_percent = 10;     ///< records that end early
  std::int64_t time_step_us = 1000;    ///< between records, on average
  std::int64_t disorder_us = 3000;     ///< how far back times go
  std::uint32_t future_per_mille = 0;  ///< times an hour ahead
  bool is_special = false;             ///< NaN, infinities, -0.0, extreme integers
  std::int64_t first_us = 1'700'000'000'000'000;
};

/// One record of a stream, in its bytes.
struct stream_record {
  std::uint32_t shard = 0;
  std::vector<std::byte> bytes;
};

/// The records in the order of arrival.
inline std::vector<stream_record> make_stream(const stream_options& options) {
  std::mt19937_64 random(options.seed);
  const auto below = [&](std::uint64_t count) { return random() % count; };
  std::vector<stream_record> stream;
  std::int64_t now = options.first_us;
  for (std::uint32_t i = 0; i < options.records; ++i) {
    now +=
        static_cast<std::int64_t>(below(static_cast<std::uint64_t>(2 * options.time_step_us) + 1));
    std::int64_t time =
        now - static_cast<std::int64_t>(below(static_cast<std::uint64_t>(options.disorder_us) + 1));
    if (below(1000) < options.future_per_mille) time += 3'600'000'000;
    const auto group =
        static_cast<std::int32_t>(options.is_skewed && below(2) == 0 ? 0 : below(options.groups));
    auto integer = static_cast<std::int64_t>(below(2000)) - 1000;
    double real = (static_cast<double>(below(1'000'000)) - 300'000) / 128.0;
    if (options.is_special && below(4) == 0) {
      constexpr double reals[] = {0.0,    -0.0,  HUGE_VAL, -HUGE_VAL,
                                  1e-310, 1e140, -1e140,   __builtin_nan("")};
      real = reals[below(std::size(reals))];
      constexpr std::int64_t integers[] = {INT64_MAX, INT64_MIN, 0, -1, 1ll << 53};
      integer = integers[below(std::size(integers))];
    }
    const auto flag = static_cast<std::uint8_t>(below(20) == 0 ? 7 : below(2));
    std::byte data[45] = {};
    store(data, time);
    store(data + 8, group);
    store(data + 12, integer);
    store(data + 20, real);
    store(data + 28, flag);
    const std::string text = "text " + std::to_string(below(options.groups) * 7919 % 1000);
    std::memcpy(data + 29, text.data(), std::min<std::size_t>(text.size(), 16));
    constexpr std::size_t cuts[] = {0, 8, 12, 20, 28, 29};
    const std::size_t size =
        below(100) < options.null_percent ? cuts[below(std::size(cuts))] : sizeof data;
    std::string key(1 + static_cast<std::uint32_t>(group) % options.key_bytes_max, 'k');
    const std::string digits = std::to_string(group);
    key.replace(0, std::min(key.size(), digits.size()), digits.substr(0, key.size()));
    stream_record record{.shard = static_cast<std::uint32_t>(below(options.shards)), .bytes = {}};
    record.bytes.resize(record_stride(key.size(), size, false));
    write_record(record.bytes.data(), key, byte_view(data, size), nullptr);
    stream.push_back(std::move(record));
  }
  return stream;
}

/// Blocks of a stream, with what a caller of window_fold keeps: clocks, next record numbers.
class stream_cutter {
 public:
  /// Blocks of `sizes` records, in turns.
  stream_cutter(const std::vector<stream_record>& stream, std::vector<std::uint32_t> sizes,
                std::uint64_t arrival_us)
      : stream_(stream), sizes_(std::move(sizes)), arrival_us_(arrival_us) {}

  struct block {
    std::vector<std::vector<std::byte>> bytes;
    std::vector<fold_run> runs;
    std::uint64_t arrival_us = 0;
  };
  bool next(block& out) {
    if (at_ == stream_.size() && (at_ > 0 || turn_ > 0)) return false;
    const std::uint32_t size = sizes_[turn_++ % sizes_.size()];
    out = {};
    out.arrival_us = arrival_us_;
    std::map<std::uint32_t, std::vector<const stream_record*>> by_shard;
    for (std::uint32_t i = 0; i < size && at_ < stream_.size(); ++i, ++at_) {
      by_shard[stream_[at_].shard].push_back(&stream_[at_]);
    }
    for (const auto& [shard, records] : by_shard) {
      std::vector<std::byte>& bytes = out.bytes.emplace_back();
      for (const stream_record* one : records) {
        bytes.insert(bytes.end(), one->bytes.begin(), one->bytes.end());
      }
      out.runs.push_back({shard_index(shard), record_index(numbers_[shard]),
                          static_cast<std::uint32_t>(records.size()), bytes});
      numbers_[shard] += records.size();
    }
    return true;
  }

 private:
  const std::vector<stream_record>& stream_;
  std::vector<std::uint32_t> sizes_;
  std::uint64_t arrival_us_;
  std::size_t at_ = 0;
  std::size_t turn_ = 0;
  std::map<std::uint32_t, std::uint64_t> numbers_;
};

/// The clocks of one view's shards, and its watermark: the least of theirs.
struct view_clocks {
  std::map<std::uint32_t, shard_clock> shards;

  std::int64_t watermark(const view_plan& plan, std::uint32_t shard_count) const {
    if (shards.size() < shard_count) return shard_clock::never;
    std::int64_t least = INT64_MAX;
    for (const auto& [shard, clock] : shards) {
      const std::int64_t newest =
          clock.newest_us == shard_clock::never ? clock.newest_us : clock.newest_us - plan.delay_us;
      least = std::min(least, std::max(newest, clock.floor_us));
    }
    return least;
  }
};

inline bool is_equal(const late_record& a, const late_record& b) {
  return a.time_us == b.time_us && a.watermark_us == b.watermark_us && a.shard == b.shard &&
         a.number == b.number;
}

inline void expect_rows(const std::vector<expected_row>& expected, const window_rows& got,
                        const view_plan& plan) {
  ASSERT_EQ(got.rows.size(), expected.size()) << "rows of view " << plan.name;
  const std::size_t columns = plan.aggregates.size();
  ASSERT_EQ(got.values.size(), columns * expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const window_rows::row& row = got.rows[i];
    const byte_view key = got.key(row);
    ASSERT_EQ(row.end_us, expected[i].end_us) << "row " << i;
    ASSERT_EQ(row.start_us, expected[i].start_us) << "row " << i;
    ASSERT_EQ(std::string(reinterpret_cast<const char*>(key.data()), key.size()), expected[i].key);
    for (std::size_t c = 0; c < columns; ++c) {
      const result_value& value = got.values[i * columns + c];
      const expected_value& wanted = expected[i].values[c];
      const std::string where = plan.aggregates[c].name + " of row " + std::to_string(i);
      ASSERT_EQ(value.is_null, wanted.value.is_null) << where;
      if (value.is_null || value.bits == wanted.value.bits) continue;
      const double real = double_of(value.bits);
      const double near = double_of(wanted.value.bits);
      if (real != real && near != near) continue;
      ASSERT_LE(real < near ? near - real : real - near, wanted.tolerance)
          << where << ": " << real << " against " << near << " (bits " << value.bits << ", "
          << wanted.value.bits << ")";
    }
  }
}

inline void expect_counts(const fold_counts& expected, const fold_counts& got) {
  EXPECT_EQ(got.folded, expected.folded);
  EXPECT_EQ(got.filtered, expected.filtered);
  EXPECT_EQ(got.late, expected.late);
  EXPECT_EQ(got.no_time, expected.no_time);
  EXPECT_EQ(got.future, expected.future);
  EXPECT_EQ(got.nulls, expected.nulls);
  EXPECT_EQ(got.left_out, expected.left_out);
}

using fold_maker = std::function<result<std::unique_ptr<window_fold>>(std::vector<view_plan>)>;

struct run_options {
  std::vector<std::uint32_t> block_records = {100};
  std::uint32_t snapshot_every = 0;  ///< blocks: then another fold goes on from a snapshot
  std::uint32_t read_open_every = 0;
  bool counts_groups = true;  ///< each is in one place
  bool closes = true;         ///< as the watermark goes; the rest is closed at the end in any case
};

/// Folds a block into `fold`, one clock a run and view.
inline void fold_block(window_fold& fold, const stream_cutter::block& block,
                       std::vector<view_clocks>& clocks, std::vector<fold_job::view_part>& parts,
                       std::shared_ptr<const device_batch> device = nullptr) {
  std::vector<std::vector<shard_clock>> per_run(clocks.size());
  for (std::size_t v = 0; v < clocks.size(); ++v) {
    for (const fold_run& run : block.runs) {
      per_run[v].push_back(clocks[v].shards[run.shard.value]);
    }
    parts[v].clocks = per_run[v];
  }
  fold_job job{.runs = block.runs,
               .arrival_us = block.arrival_us,
               .device = std::move(device),
               .views = parts};
  ASSERT_TRUE(fold.submit(job));
  for (;;) {
    const result<bool> done = fold.poll(job);
    ASSERT_TRUE(done.ok()) << done.failure().message();
    if (*done) break;
  }
  for (std::size_t v = 0; v < clocks.size(); ++v) {
    for (std::size_t r = 0; r < block.runs.size(); ++r) {
      clocks[v].shards[block.runs[r].shard.value] = per_run[v][r];
    }
  }
}

/// The same block into an oracle.
inline fold_job::view_part oracle_block(view_oracle& oracle, const stream_cutter::block& block,
                                        view_clocks& clocks) {
  fold_job::view_part part;
  for (const fold_run& run : block.runs) {
    const std::byte* at = run.bytes.data();
    for (std::uint32_t i = 0; i < run.record_count; ++i) {
      const std::uint32_t stride = record_view(at).stride();
      oracle.add({.bytes = at,
                  .arrival_us = block.arrival_us,
                  .number = run.first.value + i,
                  .shard = run.shard.value,
                  .stride = stride},
                 clocks.shards[run.shard.value], part);
      at += stride;
    }
  }
  if (part.late.size() > limits::late_records_max) part.late.resize(limits::late_records_max);
  return part;
}

/// Everything about `plans` over the stream, against the oracle.
inline void expect_as_oracle(const fold_maker& make, const std::vector<view_plan>& plans,
                             const stream_options& of, const run_options& how) {
  seed_hash_secrets(of.seed);
  for (const view_plan& plan : plans) {
    const status good = check(plan);
    ASSERT_TRUE(good.ok()) << good.failure().message();
  }
  auto fold = make(plans);
  ASSERT_TRUE(fold.ok()) << fold.failure().message();
  std::vector<view_oracle> oracles(plans.begin(), plans.end());
  std::vector<view_clocks> clocks(plans.size());
  std::vector<view_clocks> oracle_clocks(plans.size());
  const std::vector<stream_record> stream = make_stream(of);
  stream_cutter cutter(stream, how.block_records,
                       static_cast<std::uint64_t>(of.first_us + of.records * of.time_step_us));
  stream_cutter::block block;
  for (std::uint32_t turn = 1; cutter.next(block); ++turn) {
    std::vector<fold_job::view_part> parts(plans.size());
    ASSERT_NO_FATAL_FAILURE(fold_block(**fold, block, clocks, parts));
    for (std::uint32_t v = 0; v < plans.size(); ++v) {
      const fold_job::view_part expected = oracle_block(oracles[v], block, oracle_clocks[v]);
      expect_counts(expected.counts, parts[v].counts);
      ASSERT_TRUE(std::ranges::equal(parts[v].late, expected.late, is_equal));
      if (how.read_open_every != 0 && turn % how.read_open_every == 0) {
        window_rows open;
        ASSERT_TRUE((*fold)->read_open(v, {}, open).ok());
        ASSERT_NO_FATAL_FAILURE(expect_rows(oracles[v].open(), open, plans[v]));
      }
      const std::int64_t watermark = clocks[v].watermark(plans[v], of.shards);
      ASSERT_EQ(watermark, oracle_clocks[v].watermark(plans[v], of.shards));
      if (!how.closes || watermark == shard_clock::never) continue;
      window_rows closed;
      ASSERT_TRUE((*fold)->close(v, watermark, closed).ok());
      ASSERT_NO_FATAL_FAILURE(expect_rows(oracles[v].close(watermark), closed, plans[v]));
    }
    if (how.snapshot_every == 0 || turn % how.snapshot_every != 0) continue;
    auto next = make(plans);
    for (std::uint32_t v = 0; v < plans.size(); ++v) {
      std::vector<std::byte> bytes;
      ASSERT_TRUE((*fold)->snapshot(v, bytes).ok());
      const status restored = (*next)->restore(v, bytes);
      ASSERT_TRUE(restored.ok()) << restored.failure().message();
      if (how.counts_groups) {
        EXPECT_EQ((*next)->size(v).groups, (*fold)->size(v).groups);
      }
      EXPECT_EQ((*next)->size(v).windows, (*fold)->size(v).windows);
    }
    fold = std::move(next);
  }
  for (std::uint32_t v = 0; v < plans.size(); ++v) {
    if (plans[v].window.kind != window_kind::hopping && how.counts_groups) {
      EXPECT_EQ((*fold)->size(v).groups, oracles[v].open_groups());
    }
    constexpr std::int64_t end_us = 1ll << 61;
    window_rows closed;
    ASSERT_TRUE((*fold)->close(v, end_us, closed).ok());
    ASSERT_NO_FATAL_FAILURE(expect_rows(oracles[v].close(end_us), closed, plans[v]));
    EXPECT_EQ((*fold)->size(v).groups, 0u);
    EXPECT_EQ((*fold)->size(v).windows, 0u);
  }
}

/// A plan over the generated records, to be changed at will: 100 ms tumbling, every simple
/// aggregate.
inline view_plan stream_plan(std::vector<std::uint16_t> group_by = {group_f}) {
  view_plan plan;
  plan.name = "v";
  plan.stream = "s";
  plan.layout = record_layout::binary;
  plan.fields = stream_fields();
  plan.group_by = std::move(group_by);
  plan.window = {.kind = window_kind::tumbling, .size_us = 100'000, .hop_us = 100'000};
  plan.time_field = time_f;
  plan.delay_us = 1000;
  const auto add = [&](aggregate_kind kind, std::optional<std::uint16_t> field) {
    plan.aggregates.push_back({"a" + std::to_string(plan.aggregates.size()), kind, field, 0.5});
  };
  add(aggregate_kind::count, std::nullopt);
  add(aggregate_kind::count, text_f);
  for (const std::uint16_t field : {int_f, real_f}) {
    for (const auto kind :
         {aggregate_kind::sum, aggregate_kind::min, aggregate_kind::max, aggregate_kind::avg,
          aggregate_kind::stddev, aggregate_kind::first, aggregate_kind::last}) {
      add(kind, field);
    }
  }
  for (const auto kind : {aggregate_kind::min, aggregate_kind::max, aggregate_kind::last}) {
    add(kind, flag_f);
    add(kind, time_f);
  }
  return plan;
}

inline void add_sketches(view_plan& plan) {
  for (const std::uint16_t field : {int_f, real_f, text_f}) {
    plan.aggregates.push_back(
        {"distinct" + std::to_string(field), aggregate_kind::approx_count_distinct, field, 0});
  }
  for (const double quantile : {0.0, 0.5, 0.99, 1.0}) {
    for (const std::uint16_t field : {int_f, real_f}) {
      plan.aggregates.push_back({"p" + std::to_string(quantile) + std::to_string(field),
                                 aggregate_kind::approx_percentile, field, quantile});
    }
  }
}

}  // namespace millrace::testing
