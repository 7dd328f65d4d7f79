#include "gpu/fold_snapshot.h"

#include <string>
#include <type_traits>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/limits.h"
#include "gpu/value_hash.h"
#include "gpu/window_math.h"

namespace millrace {
namespace {

constexpr std::uint64_t magic = 0x0a31444c4f46524d;  // "MRFOLD1\n"

struct snapshot_header {
  std::uint64_t magic;
  std::uint64_t plan;
  std::int64_t closed_until_us;
  std::uint32_t state_words;
  std::uint32_t sketches;
  std::uint64_t entries;
};
static_assert(sizeof(snapshot_header) == 40);

template <class Value>
void put(std::vector<std::byte>& out, const Value& value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  store(out.data() + at, value);
}

/// Everything that is hashed goes through here, with its length where that varies.
class fingerprint {
 public:
  void add(std::uint64_t word) { state_ = hash_step(state_, word); }
  void add(const std::string& text) {
    add(text.size());
    byte_hasher hasher;
    for (const char c : text)
      hasher.add(static_cast<unsigned char>(c));
    add(hasher.finish());
  }
  void add(const json_source& source) { add(source.path); }
  void add(const csv_source& source) { add(source.column); }
  void add(const access_log_source& source) { add(static_cast<std::uint64_t>(source.part)); }
  void add(const binary_source& source) {
    add(source.offset);
    add(source.bytes);
    add(static_cast<std::uint64_t>(source.kind) * 2 + (source.big_endian ? 1 : 0));
  }
  void add(builtin_field field) { add(static_cast<std::uint64_t>(field)); }
  void add(const field_plan& field) {
    add(static_cast<std::uint64_t>(field.type));
    add(static_cast<std::uint64_t>(field.format));
    add(field.source.index());
    std::visit([this](const auto& source) { add(source); }, field.source);
  }
  void add(const filter_plan& filter) {
    add(static_cast<std::uint64_t>(filter.op));
    add(filter.field);
    add(filter.parts.size());
    for (const filter_plan& part : filter.parts)
      add(part);
    add(filter.values.size());
    for (const filter_plan::literal& value : filter.values) {
      add(value.index());
      std::visit(
          [this](const auto& one) {
            if constexpr (std::is_same_v<std::decay_t<decltype(one)>, double>) {
              add(bits_of(one));
            } else if constexpr (std::is_same_v<std::decay_t<decltype(one)>, std::string>) {
              add(one);
            } else {
              add(static_cast<std::uint64_t>(one));
            }
          },
          value);
    }
  }
  std::uint64_t value() const { return hash_finish(state_); }

 private:
  std::uint64_t state_ = hash_start;
};

error damaged(const fold_program& program, const std::string& what) {
  return {error_code::corrupt, "view '" + program.plan.name + "': snapshot: " + what};
}

/// Whether the bytes are a key of the view's fields.
bool is_key(const fold_program& program, byte_view key) {
  std::size_t at = 0;
  for (const key_field& field : program.key) {
    if (at >= key.size()) return false;
    const auto tag = static_cast<std::uint8_t>(key[at]);
    if (tag > 1) return false;
    if (field.type != field_type::string) {
      at += fixed_key_bytes(field.type);
      continue;
    }
    ++at;
    if (tag == 0) continue;
    for (;; ++at) {
      if (at >= key.size()) return false;
      if (key[at] != std::byte{0}) continue;
      if (at + 1 >= key.size() || key[at + 1] != std::byte{0xff}) break;
      ++at;
    }
    ++at;
  }
  return at == key.size();
}

bool are_times(const fold_program& program, const snapshot_entry& entry) {
  const window_plan& window = program.plan.window;
  if (!is_event_time(entry.start_us) || !is_event_time(entry.end_us)) return false;
  if (window.kind == window_kind::session) return entry.start_us <= entry.end_us;
  return entry.start_us == pane_start(entry.start_us, window.hop_us, window.offset_us) &&
         entry.end_us == entry.start_us + window.hop_us;
}

}  // namespace

std::uint64_t plan_fingerprint(const view_plan& plan) {
  fingerprint all;
  all.add(static_cast<std::uint64_t>(plan.layout));
  all.add(static_cast<unsigned char>(plan.csv_delimiter));
  all.add(plan.fields.size());
  for (const field_plan& field : plan.fields)
    all.add(field);
  all.add(plan.filter ? 1 : 0);
  if (plan.filter) all.add(*plan.filter);
  all.add(plan.group_by.size());
  for (const std::uint16_t field : plan.group_by)
    all.add(field);
  all.add(static_cast<std::uint64_t>(plan.window.kind));
  for (const std::int64_t us : {plan.window.size_us, plan.window.hop_us, plan.window.offset_us,
                                plan.delay_us, plan.future_max_us}) {
    all.add(static_cast<std::uint64_t>(us));
  }
  all.add(plan.time_field ? *plan.time_field + 1u : 0);
  all.add(plan.aggregates.size());
  for (const aggregate_plan& one : plan.aggregates) {
    all.add(static_cast<std::uint64_t>(one.kind));
    all.add(one.field ? *one.field + 1u : 0);
    all.add(bits_of(one.quantile));
  }
  return all.value();
}

snapshot_writer::snapshot_writer(const fold_program& program, std::int64_t closed_until_us,
                                 std::vector<std::byte>& out)
    : program_(program), out_(out), start_(out.size()) {
  put(out_, snapshot_header{.magic = magic,
                            .plan = plan_fingerprint(program.plan),
                            .closed_until_us = closed_until_us,
                            .state_words = program.state_words(),
                            .sketches = static_cast<std::uint32_t>(program.sketches.size()),
                            .entries = 0});
}

void snapshot_writer::add(const snapshot_entry& entry) {
  ++entries_;
  put(out_, entry.start_us);
  put(out_, entry.end_us);
  put(out_, static_cast<std::uint32_t>(entry.key.size()));
  out_.insert(out_.end(), entry.key.begin(), entry.key.end());
  const std::size_t state_at = out_.size();
  for (const std::uint64_t word : entry.state)
    put(out_, word);
  for (std::size_t i = 0; i < entry.sketches.size(); ++i) {
    const std::uint16_t word = program_.parts[program_.sketches[i]].word;
    store(out_.data() + state_at + word * sizeof(std::uint64_t), std::uint64_t{0});
    put(out_, static_cast<std::uint32_t>(entry.sketches[i].size()));
    for (const sketch_entry& one : entry.sketches[i]) {
      put(out_, one.key);
      put(out_, one.count);
    }
  }
}

void snapshot_writer::finish() {
  store(out_.data() + start_ + offsetof(snapshot_header, entries), entries_);
  put(out_, crc32c(byte_view(out_).subspan(start_)));
}

template <class Value>
bool snapshot_reader::take(Value& value) {
  if (rest_.size() < sizeof value) return false;
  value = load<Value>(rest_.data());
  rest_ = rest_.subspan(sizeof value);
  return true;
}

result<snapshot_reader> snapshot_reader::open(const fold_program& program, byte_view bytes) {
  constexpr std::size_t crc_bytes = sizeof(std::uint32_t);
  if (bytes.size() < sizeof(snapshot_header) + crc_bytes) {
    return damaged(program, std::to_string(bytes.size()) + " bytes are too few");
  }
  const byte_view body = bytes.first(bytes.size() - crc_bytes);
  const auto header = load<snapshot_header>(body.data());
  if (header.magic != magic) return damaged(program, "it does not start as one of version 1 does");
  if (load<std::uint32_t>(body.data() + body.size()) != crc32c(body)) {
    return damaged(program,
                   "the checksum of its " + std::to_string(bytes.size()) + " bytes is wrong");
  }
  if (header.plan != plan_fingerprint(program.plan)) {
    return error(error_code::invalid_argument,
                 "view '" + program.plan.name + "': the snapshot is of another plan");
  }
  if (header.state_words != program.state_words() || header.sketches != program.sketches.size()) {
    return damaged(program, "its states do not have the plan's size");
  }
  const std::int64_t closed = header.closed_until_us;
  if (closed != time_never && (closed < -watermark_max_us || closed > watermark_max_us)) {
    return damaged(program, "what is closed is no time");
  }
  snapshot_reader reader(program, body.subspan(sizeof header));
  reader.closed_until_us_ = header.closed_until_us;
  reader.entries_ = reader.left_ = header.entries;
  if (header.entries == 0 && !reader.rest_.empty()) {
    return damaged(program, "it goes on after its last group");
  }
  return reader;
}

status snapshot_reader::next(snapshot_entry& out) {
  MILLRACE_TRY(read(out));
  if (!is_key(program_, out.key)) return damaged(program_, "a key is not of the view's fields");
  if (!are_times(program_, out)) return damaged(program_, "a group's times are of no window");
  if (out.state[0] == 0) return damaged(program_, "a group is of no records");
  if (--left_ == 0 && !rest_.empty()) return damaged(program_, "it goes on after its last group");
  return {};
}

status snapshot_reader::read(snapshot_entry& out) {
  const auto cut = [&] { return damaged(program_, "it ends within a group"); };
  std::uint32_t key_bytes = 0;
  if (!take(out.start_us) || !take(out.end_us) || !take(key_bytes)) return cut();
  if (key_bytes > limits::group_key_bytes_max || key_bytes > rest_.size()) return cut();
  out.key = rest_.first(key_bytes);
  rest_ = rest_.subspan(key_bytes);
  out.state.resize(program_.state_words());
  for (std::uint64_t& word : out.state) {
    if (!take(word)) return cut();
  }
  out.sketches.resize(program_.sketches.size());
  for (std::size_t i = 0; i < out.sketches.size(); ++i) {
    const state_part& part = program_.parts[program_.sketches[i]];
    const bool is_distinct = part.kind == part_kind::distinct;
    out.state[part.word] = 0;
    std::uint32_t count = 0;
    if (!take(count)) return cut();
    if (count > rest_.size() / (sizeof(std::uint32_t) + sizeof(std::uint64_t))) return cut();
    out.sketches[i].clear();
    for (std::uint32_t n = 0; n < count; ++n) {
      sketch_entry one;
      if (!take(one.key) || !take(one.count)) return cut();
      const bool is_good = one.count > 0 && one.key < (is_distinct ? hll_registers : dds_bins) &&
                           one.count <= (is_distinct ? hll_rank_max : sketch_count_max) &&
                           (n == 0 || one.key > out.sketches[i].back().key);
      if (!is_good) return damaged(program_, "an entry of a sketch cannot be");
      out.sketches[i].push_back(one);
    }
  }
  return {};
}

}  // namespace millrace
