#include <algorithm>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/record_format.h"
#include "gpu/fold.h"

// The first bytes pick a plan, the rest are records of one shard: a length, then so much data. A
// fold by one thread gives the very same as one by two threads whose blocks are cut elsewhere and
// which goes on from a snapshot in between, and every record is counted once.
namespace millrace {
namespace {

class input {
 public:
  explicit input(byte_view bytes) : left_(bytes) {}
  bool is_empty() const { return left_.empty(); }
  unsigned next() {
    if (left_.empty()) return 0;
    const auto byte = static_cast<unsigned>(left_.front());
    left_ = left_.subspan(1);
    return byte;
  }
  byte_view next(std::size_t bytes) {
    const byte_view some = left_.first(std::min(bytes, left_.size()));
    left_ = left_.subspan(some.size());
    return some;
  }

 private:
  byte_view left_;
};

void add_fields(view_plan& plan, unsigned layout) {
  const auto add = [&](const char* name, field_type type, binary_kind kind, std::uint32_t offset,
                       std::uint32_t column) {
    field_plan field{.name = name, .type = type, .source = json_source{name}, .format = {}};
    if (layout == 1) field.source = csv_source{column};
    if (layout == 2)
      field.source = binary_source{
          .offset = offset, .bytes = kind == binary_kind::text ? 4u : 0u, .kind = kind};
    if (type == field_type::timestamp) field.format = time_format::microseconds;
    plan.fields.push_back(field);
  };
  plan.layout = layout == 0   ? record_layout::json
                : layout == 1 ? record_layout::csv
                              : record_layout::binary;
  add("t", field_type::timestamp, binary_kind::i16, 0, 0);
  add("i", field_type::int64, binary_kind::i64, 2, 1);
  add("f", field_type::float64, binary_kind::f32, 3, 2);
  add("s", field_type::string, binary_kind::text, 4, 3);
  add("b", field_type::boolean, binary_kind::u8, 5, 4);
}

view_plan plan_of(input& from) {
  view_plan plan;
  plan.name = "v";
  plan.stream = "s";
  const unsigned kind = from.next();
  add_fields(plan, kind % 3);
  plan.window.kind = kind / 3 % 3 == 0   ? window_kind::tumbling
                     : kind / 3 % 3 == 1 ? window_kind::hopping
                                         : window_kind::session;
  plan.window.size_us = plan.window.hop_us = 1 + from.next() * 16;
  if (plan.window.kind == window_kind::hopping) plan.window.size_us *= 1 + kind / 9 % 4;
  if (plan.window.kind == window_kind::session) plan.window.hop_us = 0;
  plan.delay_us = from.next();
  plan.groups_max = 1 + from.next() % 32;
  plan.windows_max = 1 + from.next() % 64;
  plan.time_field = 0;
  const unsigned key = from.next();
  for (std::uint16_t field = 1; field < 5; ++field) {
    if ((key >> field & 1) != 0) plan.group_by.push_back(field);
  }
  plan.aggregates.push_back({"records", aggregate_kind::count, std::nullopt, 0});
  for (unsigned left = from.next() % 8; left != 0; --left) {
    const unsigned one = from.next();
    const auto what = static_cast<aggregate_kind>(one % 10);
    const auto field = static_cast<std::uint16_t>(one / 10 % 5);
    plan.aggregates.push_back({"a" + std::to_string(left), what, field, 0.5});
  }
  return plan;
}

/// What came of the records of one shard.
struct outcome {
  fold_counts counts;
  window_rows open;
  window_rows closed;
};

class run_of_plan {
 public:
  run_of_plan(const view_plan& plan, unsigned threads,
              const std::vector<std::vector<std::byte>>& records)
      : plan_(plan), threads_(threads), records_(records), fold_(make()) {}

  outcome run(std::size_t block_records, std::size_t snapshot_at) {
    outcome out;
    for (std::size_t at = 0; at < records_.size();) {
      std::size_t end = std::min(at + block_records, records_.size());
      if (at < snapshot_at) end = std::min(end, snapshot_at);
      fold_block(at, end, out.counts);
      at = end;
      if (at == snapshot_at) replace();
    }
    MILLRACE_CHECK(fold_->read_open(0, {}, out.open).ok(), "open windows can be read");
    // The same windows are closed on the way, whenever that is: here half of the time at once.
    if (clock_[0].newest_us != shard_clock::never)
      MILLRACE_CHECK(fold_->close(0, clock_[0].newest_us, out.closed).ok(), "and closed");
    MILLRACE_CHECK(fold_->close(0, 1ll << 61, out.closed).ok(), "to the last");
    MILLRACE_CHECK(fold_->size(0).groups == 0 && fold_->size(0).windows == 0, "nothing is left");
    return out;
  }

 private:
  std::unique_ptr<window_fold> make() const {
    auto made = make_cpu_fold_on(threads_, {plan_}, "");
    MILLRACE_CHECK(made.ok(), "a plan that was checked can be folded");
    return *std::move(made);
  }
  void fold_block(std::size_t from, std::size_t end, fold_counts& counts) {
    std::vector<std::byte> bytes;
    for (std::size_t i = from; i < end; ++i)
      bytes.insert(bytes.end(), records_[i].begin(), records_[i].end());
    const fold_run run{shard_index(0), record_index(from), static_cast<std::uint32_t>(end - from),
                       bytes};
    std::vector<fold_job::view_part> parts(1);
    parts[0].clocks = clock_;
    fold_job job{.runs = {&run, 1}, .arrival_us = 1000, .device = nullptr, .views = parts};
    MILLRACE_CHECK(fold_->submit(job), "it takes a job");
    MILLRACE_CHECK(*fold_->poll(job), "and is done");
    const fold_counts& more = parts[0].counts;
    MILLRACE_CHECK(
        more.folded + more.filtered + more.late + more.no_time + more.left_out == end - from,
        "every record is one of these");
    counts.folded += more.folded;
    counts.late += more.late;
    counts.no_time += more.no_time;
    counts.future += more.future;
    counts.nulls += more.nulls;
    counts.left_out += more.left_out;
  }
  void replace() {
    std::vector<std::byte> snapshot;
    MILLRACE_CHECK(fold_->snapshot(0, snapshot).ok(), "a snapshot can be taken");
    auto next = make();
    MILLRACE_CHECK(next->restore(0, snapshot).ok(), "and restored");
    MILLRACE_CHECK(next->size(0).groups == fold_->size(0).groups, "with all groups");
    fold_ = std::move(next);
  }

  const view_plan& plan_;
  const unsigned threads_;
  const std::vector<std::vector<std::byte>>& records_;
  std::unique_ptr<window_fold> fold_;
  std::vector<shard_clock> clock_{1};
};

void check_same(const window_rows& a, const window_rows& b) {
  MILLRACE_CHECK(a.rows.size() == b.rows.size() && a.keys == b.keys, "the same windows and keys");
  for (std::size_t i = 0; i < a.rows.size(); ++i) {
    MILLRACE_CHECK(a.rows[i].start_us == b.rows[i].start_us && a.rows[i].end_us == b.rows[i].end_us,
                   "of the same times");
  }
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    MILLRACE_CHECK(
        a.values[i].bits == b.values[i].bits && a.values[i].is_null == b.values[i].is_null,
        "with the same results, to the bit");
  }
}

/// Of records that are in so many windows each.
void check_total(const outcome& of, const view_plan& plan) {
  const std::uint64_t windows =
      plan.window.kind == window_kind::hopping
          ? static_cast<std::uint64_t>(plan.window.size_us / plan.window.hop_us)
          : 1;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < of.closed.values.size(); i += plan.aggregates.size())
    total += of.closed.values[i].bits;
  MILLRACE_CHECK(total == of.counts.folded * windows, "each folded record is in its windows");
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace millrace;
  input from(byte_view(reinterpret_cast<const std::byte*>(bytes), size));
  const view_plan plan = plan_of(from);
  if (!check(plan).ok()) return 0;
  const std::size_t cut = 1 + from.next();
  const std::size_t repeats = 1 + from.next() % 8;
  std::vector<std::vector<std::byte>> records;
  while (!from.is_empty() && records.size() < 2000) {
    const byte_view data = from.next(from.next());
    std::vector<std::byte>& one = records.emplace_back(record_stride(1, data.size(), false));
    write_record(one.data(), "k", data, nullptr);
  }
  // More than a chunk, so that threads take turns.
  const std::size_t once = records.size();
  for (std::size_t i = once; i < once * repeats; ++i)
    records.push_back(std::vector<std::byte>(records[i - once]));
  if (records.empty()) return 0;
  const outcome whole = run_of_plan(plan, 1, records).run(records.size(), records.size() + 1);
  const outcome parts = run_of_plan(plan, 2, records).run(cut, records.size() / 2);
  check_total(whole, plan);
  MILLRACE_CHECK(
      whole.counts.folded == parts.counts.folded && whole.counts.late == parts.counts.late &&
          whole.counts.no_time == parts.counts.no_time &&
          whole.counts.future == parts.counts.future && whole.counts.nulls == parts.counts.nulls &&
          whole.counts.left_out == parts.counts.left_out,
      "the same counts");
  check_same(whole.open, parts.open);
  check_same(whole.closed, parts.closed);
  return 0;
}
