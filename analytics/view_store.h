#pragma once
/// What one view keeps: closed rows by emission, the journal of its clock's decisions, late
/// records, and the checkpoint. A SQLite database beside the logs, behind one source file. What a
/// write has is durable when it returns, all of it or nothing.
///
/// One thread writes; reads are thread-safe and see whole writes.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analytics/view_clock.h"
#include "analytics/view_service.h"
#include "base/error.h"
#include "shards/log_block.h"

namespace millrace {

/// Decisions that were taken together, after the block that ends at `at`.
struct journal_batch {
  log_position at;
  std::vector<clock_decision> decisions;
};

/// What a view was computed from. Rows of another one are never mixed with its own.
struct view_identity {
  std::uint32_t stream = 0;  ///< its id
  std::string definition;    ///< plan_text.h
  friend bool operator==(const view_identity&, const view_identity&) = default;
};

/// How far a view is.
struct view_progress {
  log_position at;  ///< after the block that was folded last
  view_clock::state clock;
  fold_counts counts;
  std::uint64_t missing = 0;  ///< records that the log no longer had, or only damaged
  std::uint64_t next_ordinal = 0;
  std::uint64_t closed_rows = 0;
  std::uint64_t late_ordinal = 0;  ///< of the next late record that is listed
  std::int64_t closed_to_us = shard_clock::never;  ///< windows up to here have been closed
};

struct view_checkpoint {
  view_progress progress;
  std::vector<std::byte> fold;  ///< window_fold::snapshot()
};

/// An emission that is in the store, or once was.
struct stored_emission {
  std::int64_t watermark_us = 0;
  std::uint64_t row_count = 0;
  std::uint32_t digest = 0;  ///< rows_digest()
};

/// One transaction.
struct store_write {
  std::vector<journal_batch> journal;
  std::vector<emission> emissions;
  std::vector<late_record> late;
  std::uint64_t first_late = 0;  ///< ordinal of late[0]
  const view_checkpoint* checkpoint = nullptr;  ///< also clears the journal: it is in there
  std::uint64_t rows_kept_bytes = UINT64_MAX;

  bool empty() const {
    return journal.empty() && emissions.empty() && late.empty() && checkpoint == nullptr;
  }
};

class view_store {
 public:
  virtual ~view_store() = default;

  /// Opens or creates it. `corrupt` when it is not a view's store, `unsupported` when a newer
  /// Millrace wrote it.
  static result<std::unique_ptr<view_store>> open(const std::string& path);

  // --- the writer ---
  virtual result<std::optional<view_identity>> identity() = 0;
  /// Drops everything but the ordinal of the next emission, so that readers miss none.
  virtual status reset(const view_identity& identity) = 0;
  /// The checkpoint; without one the start, where no ordinal is given again.
  virtual result<view_checkpoint> load() = 0;
  /// In the order they were taken.
  virtual result<std::vector<journal_batch>> journal() = 0;
  /// Ordinals below it have been stored.
  virtual std::uint64_t next_ordinal() const = 0;
  virtual result<std::optional<stored_emission>> find(std::uint64_t ordinal) = 0;
  /// Emissions and late records whose ordinals are stored already are left out. Returns how many
  /// bytes of old rows had to go.
  virtual result<std::uint64_t> write(const store_write& batch) = 0;

  // --- any thread ---
  virtual result<window_rows> read_closed(const view_query& query) const = 0;
  virtual result<std::vector<late_record>> read_late(std::uint32_t rows_max) const = 0;
  /// From `ordinal` on, up to about `bytes_max` of rows, at least one if there is one.
  virtual result<std::vector<emission>> read_emissions(std::uint64_t ordinal,
                                                       std::uint64_t bytes_max) const = 0;
};

}  // namespace millrace
