#pragma once
/// A view's state as bytes, the same meaning on every backend, little-endian:
///
///   header      magic "MRFOLD1\n" | plan u64 | closed_until i64 | state_words u32 | sketches u32 |
///               entries u64
///   entry       start i64 | end i64 | key_bytes u32 | key | state words | for each sketch:
///               count u32, and so many of (key u32 | count u64), ascending
///   crc32c u32  of all before
///
/// An entry is a group in a pane [start, end), or a session, whose end is the time of its last
/// record. State words are aggregate.h's; those of sketches are 0. Windows that end at or before
/// closed_until are out. `plan` is the hash of what the state depends on: fields, filter, keys,
/// window, times, aggregates; not of limits, names or idle times.
///
/// A reader trusts nothing: damaged or hostile bytes are a `corrupt` error.
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "gpu/fold_program.h"
#include "gpu/sketch_arena.h"

namespace millrace {

std::uint64_t plan_fingerprint(const view_plan& plan);

struct snapshot_entry {
  std::int64_t start_us = 0;
  std::int64_t end_us = 0;
  byte_view key;
  std::vector<std::uint64_t> state;
  std::vector<std::vector<sketch_entry>> sketches;  ///< one for each of fold_program::sketches
};

class snapshot_writer {
 public:
  /// Appends to `out`.
  snapshot_writer(const fold_program& program, std::int64_t closed_until_us,
                  std::vector<std::byte>& out);
  void add(const snapshot_entry& entry);
  void finish();

 private:
  const fold_program& program_;
  std::vector<std::byte>& out_;
  std::size_t start_;
  std::uint64_t entries_ = 0;
};

class snapshot_reader {
 public:
  /// `corrupt` when the bytes are no whole snapshot, `invalid_argument` when it is another plan's.
  static result<snapshot_reader> open(const fold_program& program, byte_view bytes);

  std::int64_t closed_until_us() const { return closed_until_us_; }
  std::uint64_t entries() const { return entries_; }
  /// The next of entries(), checked against the plan: times, key and sketches can be what they say.
  status next(snapshot_entry& out);

 private:
  snapshot_reader(const fold_program& program, byte_view rest) : program_(program), rest_(rest) {}
  template <class Value>
  bool take(Value& value);
  status read(snapshot_entry& out);

  const fold_program& program_;
  byte_view rest_;
  std::int64_t closed_until_us_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t left_ = 0;
};

}  // namespace millrace
