// The fold of a device, the CPU's and the oracle, with plans and streams drawn from a seed.
// MILLRACE_FUZZ_ROUNDS=N has so many instead of a few; a failure names its seed.
#include <cstdlib>

#include "gpu/cuda_fold.h"
#include "tests/gpu/fold_stream.h"
#include "tests/gpu/gpu_machine.h"

namespace millrace::testing {
namespace {

std::uint64_t rounds() {
  const char* const text = std::getenv("MILLRACE_FUZZ_ROUNDS");
  return text == nullptr ? 12 : std::strtoull(text, nullptr, 10);
}

result<std::unique_ptr<window_fold>> make(std::vector<view_plan> plans) {
  return make_cuda_fold(std::move(plans),
                        {.devices_max = 16, .block_bytes_max = 1 << 20, .block_records_max = 2048});
}

class plan_maker {
 public:
  explicit plan_maker(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t count) { return random_() % count; }
  template <class Value>
  Value one_of(std::initializer_list<Value> values) {
    return values.begin()[below(values.size())];
  }

  view_plan view() {
    std::vector<std::uint16_t> key;
    for (const stream_field field : {group_f, int_f, real_f, flag_f, text_f, key_f}) {
      if (below(4) == 0) key.push_back(field);
    }
    view_plan plan = stream_plan(key);
    plan.window.kind = one_of({window_kind::tumbling, window_kind::hopping});
    plan.window.hop_us = one_of<std::int64_t>({1000, 25'000, 100'000, 3'600'000'000});
    plan.window.size_us =
        plan.window.hop_us *
        (plan.window.kind == window_kind::hopping ? static_cast<std::int64_t>(1 + below(4)) : 1);
    plan.window.offset_us = static_cast<std::int64_t>(below(1000));
    plan.delay_us = one_of<std::int64_t>({0, 1000, 50'000});
    if (below(5) == 0) plan.time_field.reset();
    if (below(2) == 0) plan.filter = filter(2);
    if (below(2) == 0) add_sketches(plan);
    std::erase_if(plan.aggregates, [&](const aggregate_plan&) { return below(4) == 0; });
    if (plan.aggregates.empty()) {
      plan.aggregates.push_back({"all", aggregate_kind::count, std::nullopt, 0});
    }
    if (below(4) == 0) {
      for (std::uint16_t i = 0; i < plan.aggregates.size(); ++i) {
        // Of equal sums that differ in their last bits either may be the greater one.
        if (plan.aggregates[i].kind != aggregate_kind::count) continue;
        plan.top = top_plan{.aggregate = i, .count = static_cast<std::uint32_t>(1 + below(5))};
      }
    }
    return plan;
  }
  stream_options stream(std::uint64_t seed) {
    return {.seed = seed,
            .records = one_of({0u, 1u, 31u, 32u, 33u, 255u, 256u, 257u, 700u}),
            .shards = one_of({1u, 3u, 20u}),
            .groups = one_of({1u, 8u, 300u}),
            .is_skewed = below(2) == 0,
            .key_bytes_max = one_of({1u, 8u, 256u}),
            .null_percent = one_of({0u, 10u, 60u}),
            .disorder_us = one_of<std::int64_t>({0, 3000, 200'000}),
            .future_per_mille = one_of({0u, 20u}),
            .is_special = below(3) == 0};
  }

 private:
  filter_plan filter(int depth) {
    filter_plan made;
    if (depth > 0 && below(2) == 0) {
      made.op = one_of(
          {filter_plan::kind::all_of, filter_plan::kind::any_of, filter_plan::kind::negation});
      const std::uint64_t parts = made.op == filter_plan::kind::negation ? 1 : 1 + below(3);
      for (std::uint64_t i = 0; i < parts; ++i)
        made.parts.push_back(filter(depth - 1));
      return made;
    }
    made.field = one_of<std::uint16_t>({int_f, text_f, flag_f});
    if (made.field == flag_f) {
      made.op = filter_plan::kind::is_null;
    } else if (made.field == text_f) {
      made.op = filter_plan::kind::has_prefix;
      made.values = {std::string("text ") + static_cast<char>('0' + below(10))};
    } else {
      made.op = one_of({filter_plan::kind::less, filter_plan::kind::greater_equal,
                        filter_plan::kind::not_equal});
      made.values = {static_cast<std::int64_t>(below(2000)) - 1000};
    }
    return made;
  }

  std::mt19937_64 random_;
};

TEST(CudaFoldFuzz, any_plan_over_any_stream_is_what_the_oracle_says) {
  for (std::uint64_t seed = 1; seed <= rounds(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    plan_maker maker(seed);
    const int devices = maker.below(3) == 0 ? 2 : 1;
    const std::string reason = start_machine(devices, seed, false);
    if (!reason.empty()) GTEST_SKIP() << reason;
    std::vector<view_plan> plans;
    for (std::uint64_t i = 1 + maker.below(2); i > 0; --i) {
      plans.push_back(maker.view());
      plans.back().name = "v" + std::to_string(i);
    }
    const stream_options of = maker.stream(seed);
    const run_options how{.block_records = {maker.one_of({1u, 31u, 33u, 128u, 257u}), 90},
                          .snapshot_every = maker.below(3) == 0 ? 2u : 0u,
                          .read_open_every = 3,
                          .counts_groups = devices == 1};
    expect_as_oracle(make, plans, of, how);
    expect_as_oracle(make_cpu_fold, plans, of, how);
    ASSERT_EQ(machine_findings(), "");
    if (HasFailure()) return;
  }
}

// --- hostile records -----------------------------------------------------------------------------

/// Documents whole, cut short, damaged, nested, not documents at all; keys up to and over what a
/// group may have.
std::vector<stream_record> hostile_stream(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  std::vector<stream_record> stream;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t number = random() % 20;
    std::string user = "u" + std::to_string(number);
    if (random() % 8 == 0) user += std::string(random() % 1400, 'x');
    if (random() % 8 == 0) user += "\\u0000\\ud83d\\ude00\\\"\\n";
    std::string data = "{\"user\":\"" + user + "\",\"took\":" +
                       (random() % 9 == 0 ? std::string("1e999") : std::to_string(number) + ".25") +
                       ",\"at\":" + std::to_string(1'700'000'000'000 + i * 10) +
                       ",\"ok\":" + (number % 2 == 0 ? "true" : "\"no\"") + "}";
    switch (random() % 10) {
      case 0:
        data.resize(random() % (data.size() + 1));
        break;
      case 1:
        data[random() % data.size()] = static_cast<char>(random());
        break;
      case 2:
        data = std::string(random() % 90, '[') + data;
        break;
      case 3:
        for (char& c : data)
          c = static_cast<char>(random());
        break;
      default:
        break;
    }
    stream_record record;
    record.shard = static_cast<std::uint32_t>(random() % 3);
    const std::string key = std::to_string(number);
    record.bytes.resize(record_stride(key.size(), data.size(), false));
    write_record(record.bytes.data(), key, std::as_bytes(std::span(data)), nullptr);
    stream.push_back(std::move(record));
  }
  return stream;
}

view_plan json_plan(std::vector<std::uint16_t> group_by) {
  view_plan plan;
  plan.name = "hostile";
  plan.stream = "s";
  plan.layout = record_layout::json;
  plan.fields = {
      {.name = "user", .type = field_type::string, .source = json_source{"user"}},
      {.name = "took", .type = field_type::float64, .source = json_source{"took"}},
      {.name = "at",
       .type = field_type::timestamp,
       .source = json_source{"at"},
       .format = time_format::milliseconds},
      {.name = "ok", .type = field_type::boolean, .source = json_source{"ok"}},
  };
  plan.group_by = std::move(group_by);
  plan.time_field = 2;
  plan.window = {.kind = window_kind::tumbling, .size_us = 1'000'000, .hop_us = 1'000'000};
  plan.delay_us = 100'000;
  plan.aggregates = {{"n", aggregate_kind::count, std::nullopt, 0},
                     {"least", aggregate_kind::min, 1, 0},
                     {"p90", aggregate_kind::approx_percentile, 1, 0.9},
                     {"users", aggregate_kind::approx_count_distinct, 0, 0},
                     {"last", aggregate_kind::last, 1, 0}};
  return plan;
}

/// Everything here is exact, so the two have the same bits.
TEST(CudaFoldFuzz, hostile_records_are_to_a_device_what_they_are_to_the_cpu) {
  for (std::uint64_t seed = 1; seed <= rounds() / 4 + 1; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::string reason = start_machine(1, seed, false);
    if (!reason.empty()) GTEST_SKIP() << reason;
    const std::vector<view_plan> plans{json_plan({0}), json_plan({3, 0})};
    const auto device = make(plans);
    ASSERT_TRUE(device.ok()) << device.failure().message();
    const auto cpu = make_cpu_fold(plans);
    std::vector<view_clocks> clocks(plans.size());
    std::vector<view_clocks> cpu_clocks(plans.size());
    const std::vector<stream_record> stream = hostile_stream(seed, 400);
    stream_cutter cutter(stream, {130}, 1'700'000'004'000'000);
    stream_cutter::block block;
    std::uint64_t folded = 0;
    std::uint64_t left_out = 0;
    while (cutter.next(block)) {
      std::vector<fold_job::view_part> parts(plans.size());
      std::vector<fold_job::view_part> cpu_parts(plans.size());
      ASSERT_NO_FATAL_FAILURE(fold_block(**device, block, clocks, parts));
      ASSERT_NO_FATAL_FAILURE(fold_block(**cpu, block, cpu_clocks, cpu_parts));
      for (std::size_t v = 0; v < plans.size(); ++v) {
        expect_counts(cpu_parts[v].counts, parts[v].counts);
        ASSERT_TRUE(std::ranges::equal(parts[v].late, cpu_parts[v].late, is_equal));
        folded += parts[v].counts.folded;
        left_out += parts[v].counts.left_out;
      }
    }
    EXPECT_GT(folded, 300u);
    EXPECT_GT(left_out, 0u) << "keys that are too long";
    for (std::uint32_t v = 0; v < plans.size(); ++v) {
      window_rows rows;
      window_rows cpu_rows;
      ASSERT_TRUE((*device)->close(v, 1ll << 61, rows).ok());
      ASSERT_TRUE((*cpu)->close(v, 1ll << 61, cpu_rows).ok());
      ASSERT_EQ(rows.keys, cpu_rows.keys);
      ASSERT_EQ(rows.values.size(), cpu_rows.values.size());
      for (std::size_t i = 0; i < rows.values.size(); ++i) {
        ASSERT_EQ(rows.values[i].is_null, cpu_rows.values[i].is_null) << i;
        ASSERT_EQ(rows.values[i].bits, cpu_rows.values[i].bits) << i;
      }
    }
    ASSERT_EQ(machine_findings(), "");
  }
}

}  // namespace
}  // namespace millrace::testing
