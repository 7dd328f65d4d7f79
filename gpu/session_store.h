#pragma once
/// The groups of a view with session windows, on the CPU: each session is a row of one table, and
/// sessions of one key that a record joins become one.
#include <vector>

#include "gpu/fold_program.h"
#include "gpu/group_table.h"
#include "gpu/sketch_arena.h"
#include "gpu/window_math.h"
#include "gpu/window_store.h"

namespace millrace {

class session_store final : public window_store {
 public:
  session_store(const fold_program& program, memory_budget& budget);
  ~session_store() override;

  slot_lines lines_at(std::int64_t) const override { return sessions_.lines(); }
  std::uint32_t fold(fold_batch& batch) override;
  void close(std::int64_t watermark_us, window_rows& out) override;
  void read_open(const open_range& range, window_rows& out) override;
  std::uint64_t windows() const override { return sessions_.size(); }
  void snapshot(std::vector<std::byte>& out) const override;
  status restore(snapshot_reader& from) override;

 private:
  /// Words before the state in a row: times of the first and the last record, and a number that no
  /// other session has.
  static constexpr std::uint32_t extent_words = 3;
  /// When a session ends, unless records made it longer since.
  struct ending {
    std::int64_t end_us;
    std::uint64_t serial;
    std::uint64_t hash;
    std::uint64_t* row;
  };

  static std::vector<std::uint64_t> with_extent(std::span<const std::uint64_t> state);
  std::int64_t first_of(std::uint64_t* row) const {
    return static_cast<std::int64_t>(sessions_.state(row)[0]);
  }
  std::int64_t last_of(std::uint64_t* row) const {
    return static_cast<std::int64_t>(sessions_.state(row)[1]);
  }
  std::int64_t end_of(std::uint64_t* row) const { return last_of(row) + gap_us_; }
  std::uint64_t serial_of(std::uint64_t* row) const { return sessions_.state(row)[2]; }
  void set_extent(std::uint64_t* row, std::int64_t first_us, std::int64_t last_us) {
    sessions_.state(row)[0] = static_cast<std::uint64_t>(first_us);
    sessions_.state(row)[1] = static_cast<std::uint64_t>(last_us);
  }
  std::uint64_t* state_of(std::uint64_t* row) const { return sessions_.state(row) + extent_words; }
  bool joins(std::uint64_t* row, std::int64_t time_us) const {
    return time_us - last_of(row) < gap_us_ && first_of(row) - time_us < gap_us_;
  }
  /// A new one of a record at that time, or null.
  std::uint64_t* start(std::uint64_t hash, key_ref key, std::int64_t time_us);
  /// Puts one session into another of the same key.
  void merge(std::uint64_t* into, std::uint64_t* from, std::uint64_t hash);
  void erase(std::uint64_t hash, std::uint64_t* row);
  void push_ending(const ending& one);

  const fold_program& program_;
  const std::int64_t gap_us_;
  memory_budget& budget_;
  std::vector<std::uint64_t> empty_;
  group_table sessions_;
  sketch_arena sketches_;
  std::vector<ending> endings_;  ///< a heap, the earliest on top
  std::uint64_t next_serial_ = 1;
  std::int64_t closed_until_us_ = time_never;
};

}  // namespace millrace
