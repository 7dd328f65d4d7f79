#include "analytics/view_store.h"

#include <algorithm>
#include <mutex>
#include <string_view>

#include "analytics/progress_codec.h"
#include "analytics/rows_codec.h"
#include "base/limits.h"
#include "shards/database.h"

namespace millrace {
namespace {

/// Rows and fold states are kept in pieces of about this size, so that none has to be in memory
/// twice and a reader of few rows reads few bytes.
constexpr std::uint64_t rows_chunk_bytes = 256 * limits::kib;
constexpr std::uint64_t fold_part_bytes = 4 * limits::mib;

constexpr const char* first_schema = R"sql(
CREATE TABLE view (
  id           INTEGER PRIMARY KEY CHECK (id = 1),
  stream       INTEGER NOT NULL,
  definition   TEXT    NOT NULL,
  next_ordinal INTEGER NOT NULL,               -- of emissions: those below were stored
  next_late    INTEGER NOT NULL,               -- the same of late records
  rows_bytes   INTEGER NOT NULL                -- in chunks
);
CREATE TABLE emissions (
  ordinal      INTEGER PRIMARY KEY,
  watermark_us INTEGER NOT NULL,
  row_count    INTEGER NOT NULL,
  digest       INTEGER NOT NULL,
  bytes        INTEGER NOT NULL
);
CREATE TABLE chunks (
  id           INTEGER PRIMARY KEY,            -- ascending by emission, then by window end
  ordinal      INTEGER NOT NULL,
  start_min_us INTEGER NOT NULL,
  end_max_us   INTEGER NOT NULL,
  rows         BLOB    NOT NULL                -- rows_codec.h
);
CREATE INDEX chunks_of_emission ON chunks (ordinal);
CREATE INDEX chunks_by_time ON chunks (end_max_us, start_min_us);
CREATE TABLE journal (
  id           INTEGER PRIMARY KEY,
  segment      INTEGER NOT NULL,
  log_offset   INTEGER NOT NULL,
  decisions    BLOB    NOT NULL                -- progress_codec.h
);
CREATE TABLE late (
  ordinal      INTEGER PRIMARY KEY,
  time_us      INTEGER NOT NULL,
  watermark_us INTEGER NOT NULL,
  shard        INTEGER NOT NULL,
  number       INTEGER NOT NULL
);
CREATE TABLE checkpoint (
  id           INTEGER PRIMARY KEY CHECK (id = 1),
  progress     BLOB    NOT NULL                -- progress_codec.h
);
CREATE TABLE fold (
  part         INTEGER PRIMARY KEY,
  bytes        BLOB    NOT NULL
);
)sql";

constexpr database::schema schema{.application_id = 0x4d4c'5256, .first = first_schema};  // "MLRV"

std::int64_t signed_of(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

class sqlite_view_store final : public view_store {
 public:
  sqlite_view_store(database writer, database reader)
      : writer_(std::move(writer)), reader_(std::move(reader)) {}
  /// What the writer counts along, from the database.
  status read_totals();

  result<std::optional<view_identity>> identity() override;
  status reset(const view_identity& identity) override;
  result<view_checkpoint> load() override;
  result<std::vector<journal_batch>> journal() override;
  std::uint64_t next_ordinal() const override { return next_ordinal_; }
  result<std::optional<stored_emission>> find(std::uint64_t ordinal) override;
  result<std::uint64_t> write(const store_write& batch) override;

  result<window_rows> read_closed(const view_query& query) const override;
  result<std::vector<late_record>> read_late(std::uint32_t rows_max) const override;
  result<std::vector<emission>> read_emissions(std::uint64_t ordinal,
                                               std::uint64_t bytes_max) const override;

 private:
  status write_emission(const emission& one);
  status write_late(const store_write& batch);
  status write_journal(const std::vector<journal_batch>& batches);
  status write_checkpoint(const view_checkpoint& checkpoint);
  result<std::uint64_t> drop_rows(std::uint64_t bytes_max);

  database writer_;
  std::uint64_t next_ordinal_ = 0;
  std::uint64_t next_late_ = 0;
  std::uint64_t rows_bytes_ = 0;
  std::vector<std::byte> chunk_;

  mutable std::mutex mutex_;  // one reader at a time; the writer goes on beside it
  database reader_;
};

// --- the writer ----------------------------------------------------------------------------------

status sqlite_view_store::read_totals() {
  statement one(writer_, "SELECT next_ordinal, next_late, rows_bytes FROM view");
  MILLRACE_ASSIGN(const bool found, one.step());
  next_ordinal_ = found ? one.natural(0) : 0;
  next_late_ = found ? one.natural(1) : 0;
  rows_bytes_ = found ? one.natural(2) : 0;
  return {};
}

result<std::optional<view_identity>> sqlite_view_store::identity() {
  statement one(writer_, "SELECT stream, definition FROM view");
  MILLRACE_ASSIGN(const bool found, one.step());
  if (!found) return std::optional<view_identity>();
  return std::optional(view_identity{static_cast<std::uint32_t>(one.integer(0)), one.text(1)});
}

status sqlite_view_store::reset(const view_identity& identity) {
  const auto drop_all = [&]() -> status {
    for (const char* const table :
         {"view", "emissions", "chunks", "journal", "late", "checkpoint", "fold"}) {
      MILLRACE_TRY(writer_.execute(std::string("DELETE FROM ") + table));
    }
    return statement(writer_, "INSERT INTO view VALUES (1, ?, ?, ?, 0, 0)")
        .bind(std::int64_t{identity.stream})
        .bind(std::string_view(identity.definition))
        .bind(signed_of(next_ordinal_))
        .run();
  };
  MILLRACE_TRY(writer_.transaction(drop_all));
  return read_totals();
}

result<view_checkpoint> sqlite_view_store::load() {
  view_checkpoint found;
  found.progress.next_ordinal = next_ordinal_;
  {
    statement one(writer_, "SELECT progress FROM checkpoint");
    MILLRACE_ASSIGN(const bool there, one.step());
    if (!there) return found;
    MILLRACE_ASSIGN(found.progress, decode_progress(one.bytes(0)));
  }
  MILLRACE_ASSIGN(const std::int64_t bytes, writer_.number("SELECT sum(length(bytes)) FROM fold"));
  found.fold.reserve(static_cast<std::size_t>(bytes));
  statement part(writer_, "SELECT bytes FROM fold ORDER BY part");
  while (true) {
    MILLRACE_ASSIGN(const bool more, part.step());
    if (!more) return found;
    const byte_view piece = part.bytes(0);
    found.fold.insert(found.fold.end(), piece.begin(), piece.end());
  }
}

result<std::vector<journal_batch>> sqlite_view_store::journal() {
  std::vector<journal_batch> all;
  statement one(writer_, "SELECT segment, log_offset, decisions FROM journal ORDER BY id");
  while (true) {
    MILLRACE_ASSIGN(const bool more, one.step());
    if (!more) return all;
    MILLRACE_ASSIGN(auto decisions, decode_decisions(one.bytes(2)));
    all.push_back({{segment_number(one.natural(0)), one.natural(1)}, std::move(decisions)});
  }
}

result<std::optional<stored_emission>> sqlite_view_store::find(std::uint64_t ordinal) {
  statement one(writer_, "SELECT watermark_us, row_count, digest FROM emissions WHERE ordinal = ?");
  one.bind(signed_of(ordinal));
  MILLRACE_ASSIGN(const bool found, one.step());
  if (!found) return std::optional<stored_emission>();
  return std::optional(
      stored_emission{one.integer(0), one.natural(1), static_cast<std::uint32_t>(one.integer(2))});
}

status sqlite_view_store::write_emission(const emission& one) {
  const window_rows& rows = *one.windows;
  const std::size_t count = rows.rows.size();
  const auto values_per_row =
      static_cast<std::uint32_t>(count == 0 ? 0 : rows.values.size() / count);
  statement insert(writer_,
                   "INSERT INTO chunks (ordinal, start_min_us, end_max_us, rows)"
                   " VALUES (?, ?, ?, ?)");
  std::uint64_t bytes = 0;
  for (std::size_t from = 0; from < count;) {
    const std::size_t to = from + rows_for_chunk(rows, from, values_per_row, rows_chunk_bytes);
    encode_rows(rows, from, to, values_per_row, chunk_);
    std::int64_t start_min_us = INT64_MAX;
    for (std::size_t i = from; i < to; ++i)
      start_min_us = std::min(start_min_us, rows.rows[i].start_us);
    insert.bind(signed_of(one.ordinal)).bind(start_min_us).bind(rows.rows[to - 1].end_us);
    MILLRACE_TRY(insert.bind(byte_view(chunk_)).run());
    bytes += chunk_.size();
    from = to;
  }
  rows_bytes_ += bytes;
  return statement(writer_, "INSERT INTO emissions VALUES (?, ?, ?, ?, ?)")
      .bind(signed_of(one.ordinal))
      .bind(one.watermark_us)
      .bind(signed_of(count))
      .bind(std::int64_t{rows_digest(rows)})
      .bind(signed_of(bytes))
      .run();
}

status sqlite_view_store::write_late(const store_write& batch) {
  statement insert(writer_, "INSERT INTO late VALUES (?, ?, ?, ?, ?)");
  for (std::size_t i = 0; i < batch.late.size(); ++i) {
    const late_record& one = batch.late[i];
    if (batch.first_late + i < next_late_) continue;
    insert.bind(signed_of(batch.first_late + i)).bind(one.time_us).bind(one.watermark_us);
    MILLRACE_TRY(
        insert.bind(std::int64_t{one.shard.value}).bind(signed_of(one.number.value)).run());
    next_late_ = batch.first_late + i + 1;
  }
  return statement(writer_, "DELETE FROM late WHERE ordinal < ?")
      .bind(signed_of(next_late_) - std::int64_t{limits::late_records_kept})
      .run();
}

status sqlite_view_store::write_journal(const std::vector<journal_batch>& batches) {
  statement insert(writer_,
                   "INSERT INTO journal (segment, log_offset, decisions) VALUES (?, ?, ?)");
  for (const journal_batch& one : batches) {
    const std::vector<std::byte> decisions = encode_decisions(one.decisions);
    insert.bind(signed_of(one.at.segment.value)).bind(signed_of(one.at.offset));
    MILLRACE_TRY(insert.bind(byte_view(decisions)).run());
  }
  return {};
}

status sqlite_view_store::write_checkpoint(const view_checkpoint& checkpoint) {
  MILLRACE_TRY(writer_.execute("DELETE FROM journal"));
  MILLRACE_TRY(writer_.execute("DELETE FROM fold"));
  const std::vector<std::byte> progress = encode_progress(checkpoint.progress);
  MILLRACE_TRY(statement(writer_, "INSERT OR REPLACE INTO checkpoint VALUES (1, ?)")
                   .bind(byte_view(progress))
                   .run());
  statement insert(writer_, "INSERT INTO fold VALUES (?, ?)");
  std::int64_t part = 0;
  for (byte_view rest(checkpoint.fold); !rest.empty(); ++part) {
    const byte_view piece = rest.first(std::min<std::size_t>(rest.size(), fold_part_bytes));
    MILLRACE_TRY(insert.bind(part).bind(piece).run());
    rest = rest.subspan(piece.size());
  }
  return {};
}

/// The oldest emissions go, whole; the newest stays whatever its size.
result<std::uint64_t> sqlite_view_store::drop_rows(std::uint64_t bytes_max) {
  std::uint64_t dropped = 0;
  while (rows_bytes_ > bytes_max) {
    statement oldest(writer_, "SELECT ordinal, bytes FROM emissions ORDER BY ordinal LIMIT 2");
    MILLRACE_ASSIGN(const bool found, oldest.step());
    if (!found) break;
    const std::int64_t ordinal = oldest.integer(0);
    const std::uint64_t bytes = oldest.natural(1);
    MILLRACE_ASSIGN(const bool has_newer, oldest.step());
    if (!has_newer) break;
    for (const char* const sql :
         {"DELETE FROM chunks WHERE ordinal = ?", "DELETE FROM emissions WHERE ordinal = ?"}) {
      MILLRACE_TRY(statement(writer_, sql).bind(ordinal).run());
    }
    rows_bytes_ -= std::min(bytes, rows_bytes_);
    dropped += bytes;
  }
  return dropped;
}

result<std::uint64_t> sqlite_view_store::write(const store_write& batch) {
  std::uint64_t dropped = 0;
  status written = writer_.transaction([&]() -> status {
    MILLRACE_TRY(write_journal(batch.journal));
    for (const emission& one : batch.emissions) {
      if (one.ordinal < next_ordinal_) continue;
      MILLRACE_TRY(write_emission(one));
      next_ordinal_ = one.ordinal + 1;
    }
    MILLRACE_ASSIGN(dropped, drop_rows(batch.rows_kept_bytes));
    if (!batch.late.empty()) MILLRACE_TRY(write_late(batch));
    if (batch.checkpoint != nullptr) MILLRACE_TRY(write_checkpoint(*batch.checkpoint));
    return statement(writer_, "UPDATE view SET next_ordinal = ?, next_late = ?, rows_bytes = ?")
        .bind(signed_of(next_ordinal_))
        .bind(signed_of(next_late_))
        .bind(signed_of(rows_bytes_))
        .run();
  });
  if (written.ok()) return dropped;
  // What was counted along has been undone. If even this cannot be read, the next try fails too.
  [[maybe_unused]] const status again = read_totals();
  return std::move(written).failure();
}

// --- readers -------------------------------------------------------------------------------------

result<window_rows> sqlite_view_store::read_closed(const view_query& query) const {
  std::lock_guard lock(mutex_);
  window_rows found;
  statement chunks(reader_,
                   "SELECT rows FROM chunks WHERE end_max_us > ? AND start_min_us < ?"
                   " ORDER BY end_max_us DESC, id DESC");
  chunks.bind(query.from_us).bind(query.to_us);
  while (found.rows.size() < query.rows_max) {
    MILLRACE_ASSIGN(const bool more, chunks.step());
    if (!more) break;
    MILLRACE_ASSIGN(const rows_chunk chunk, rows_chunk::parse(chunks.bytes(0)));
    for (std::uint32_t i = chunk.size(); i-- > 0 && found.rows.size() < query.rows_max;) {
      const window_rows::row row = chunk.row(i);
      if (row.end_us > query.from_us && row.start_us < query.to_us) chunk.append(i, found);
    }
  }
  return newest_first(found);
}

result<std::vector<late_record>> sqlite_view_store::read_late(std::uint32_t rows_max) const {
  std::lock_guard lock(mutex_);
  std::vector<late_record> found;
  statement one(reader_,
                "SELECT time_us, watermark_us, shard, number FROM late"
                " ORDER BY ordinal DESC LIMIT ?");
  one.bind(std::int64_t{rows_max});
  while (true) {
    MILLRACE_ASSIGN(const bool more, one.step());
    if (!more) return found;
    found.push_back({one.integer(0), one.integer(1),
                     shard_index(static_cast<std::uint32_t>(one.integer(2))),
                     record_index(one.natural(3))});
  }
}

result<std::vector<emission>> sqlite_view_store::read_emissions(std::uint64_t ordinal,
                                                                std::uint64_t bytes_max) const {
  std::lock_guard lock(mutex_);
  std::vector<emission> found;
  statement one(reader_,
                "SELECT ordinal, watermark_us, bytes FROM emissions WHERE ordinal >= ?"
                " ORDER BY ordinal");
  one.bind(signed_of(ordinal));
  for (std::uint64_t bytes = 0;;) {
    MILLRACE_ASSIGN(const bool more, one.step());
    if (!more) return found;
    bytes += one.natural(2);
    if (bytes > bytes_max && !found.empty()) return found;
    auto rows = std::make_shared<window_rows>();
    statement chunks(reader_, "SELECT rows FROM chunks WHERE ordinal = ? ORDER BY id");
    chunks.bind(one.integer(0));
    while (true) {
      MILLRACE_ASSIGN(const bool another, chunks.step());
      if (!another) break;
      MILLRACE_ASSIGN(const rows_chunk chunk, rows_chunk::parse(chunks.bytes(0)));
      for (std::uint32_t i = 0; i < chunk.size(); ++i)
        chunk.append(i, *rows);
    }
    found.push_back({one.natural(0), one.integer(1), std::move(rows)});
  }
}

}  // namespace

result<std::unique_ptr<view_store>> view_store::open(const std::string& path) {
  const auto connect = [&]() -> result<database> {
    MILLRACE_ASSIGN(database opened, database::open(path, "views"));
    opened.wait_for_locks(5000);
    // A write-ahead log, so that readers and the writer do not wait for each other; synced at every
    // commit, for what a reader has seen must not be undone.
    MILLRACE_TRY(opened.execute("PRAGMA journal_mode = WAL"));
    MILLRACE_TRY(opened.execute("PRAGMA synchronous = FULL"));
    MILLRACE_TRY(opened.execute("PRAGMA journal_size_limit = 67108864"));
    return opened;
  };
  const auto open_both = [&]() -> result<std::unique_ptr<view_store>> {
    MILLRACE_ASSIGN(database writer, connect());
    MILLRACE_TRY(writer.prepare(schema));
    MILLRACE_ASSIGN(database reader, connect());
    MILLRACE_TRY(reader.execute("PRAGMA query_only = ON"));
    auto made = std::make_unique<sqlite_view_store>(std::move(writer), std::move(reader));
    MILLRACE_TRY(made->read_totals());
    return std::unique_ptr<view_store>(std::move(made));
  };
  auto opened = open_both();
  if (!opened.ok()) return std::move(opened).failure().with_context(path);
  return opened;
}

}  // namespace millrace
