#include "shards/catalog.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include <sqlite3.h>

#include "base/limits.h"

namespace millrace {
namespace {

/// "MLRC": so that file(1) and we tell our database from others.
constexpr int application_id = 0x4d4c'5243;
constexpr int schema_version = 2;

constexpr const char* schema = R"sql(
CREATE TABLE streams (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused
  name            TEXT    NOT NULL UNIQUE,
  created_us      INTEGER NOT NULL,
  retention_hours INTEGER NOT NULL,
  retention_bytes INTEGER NOT NULL,                   -- 0: no bound
  when_full       INTEGER NOT NULL,                   -- 0: refuse, 1: drop the oldest
  next_shard      INTEGER NOT NULL
);
CREATE TABLE shards (
  stream          INTEGER NOT NULL REFERENCES streams(id) ON DELETE CASCADE,
  shard           INTEGER NOT NULL,
  hash_first      BLOB    NOT NULL,                   -- 16 bytes, big-endian
  hash_last       BLOB    NOT NULL,
  parent          INTEGER,
  adjacent_parent INTEGER,
  created_s       INTEGER NOT NULL,
  closed_s        INTEGER,                            -- NULL: open
  PRIMARY KEY (stream, shard)
) WITHOUT ROWID;
)sql";

/// What each version added to the one before it; the first of them to version 1.
constexpr std::array upgrades{R"sql(
CREATE TABLE attributes (
  stream INTEGER NOT NULL,                            -- 0: of the data directory
  name   TEXT    NOT NULL,
  value  TEXT    NOT NULL,
  PRIMARY KEY (stream, name)
) WITHOUT ROWID;
)sql"};
static_assert(upgrades.size() == schema_version - 1);

using hash_bytes = std::array<unsigned char, 16>;

hash_bytes to_bytes(uint128 value) {
  hash_bytes bytes;
  for (auto at = bytes.rbegin(); at != bytes.rend(); ++at) {
    *at = static_cast<unsigned char>(value);
    value >>= 8;
  }
  return bytes;
}

/// One prepared statement; bind, step, read, in that order.
class statement {
 public:
  statement(sqlite3* database, const char* sql) : database_(database) {
    sqlite3_prepare_v2(database, sql, -1, &handle_, nullptr);
  }
  ~statement() { sqlite3_finalize(handle_); }
  statement(const statement&) = delete;
  statement& operator=(const statement&) = delete;

  statement& bind(std::int64_t value) {
    if (handle_ != nullptr) sqlite3_bind_int64(handle_, ++bound_, value);
    return *this;
  }
  statement& bind(std::optional<std::uint32_t> value) {
    if (value.has_value()) return bind(std::int64_t{*value});
    if (handle_ != nullptr) sqlite3_bind_null(handle_, ++bound_);
    return *this;
  }
  statement& bind(std::string_view value) {
    if (handle_ != nullptr) {
      sqlite3_bind_text(handle_, ++bound_, value.data(), static_cast<int>(value.size()),
                        SQLITE_TRANSIENT);
    }
    return *this;
  }
  statement& bind_hash(uint128 value) {
    const hash_bytes bytes = to_bytes(value);
    if (handle_ != nullptr)
      sqlite3_bind_blob(handle_, ++bound_, bytes.data(), 16, SQLITE_TRANSIENT);
    return *this;
  }

  /// True: there is a row. False: there is none, or no more.
  result<bool> step() {
    const int code = handle_ == nullptr ? sqlite3_errcode(database_) : sqlite3_step(handle_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return failure();
  }
  status run() {
    MILLRACE_ASSIGN([[maybe_unused]] const bool row, step());
    return {};
  }
  /// For the next row of the same statement.
  void reset() {
    sqlite3_reset(handle_);
    bound_ = 0;
  }

  std::int64_t integer(int column) const { return sqlite3_column_int64(handle_, column); }
  std::optional<std::uint32_t> optional_integer(int column) const {
    if (sqlite3_column_type(handle_, column) == SQLITE_NULL) return std::nullopt;
    return static_cast<std::uint32_t>(integer(column));
  }
  std::string text(int column) const {
    const auto* characters = sqlite3_column_text(handle_, column);
    return characters == nullptr ? std::string() : reinterpret_cast<const char*>(characters);
  }
  uint128 hash(int column) const {
    const auto* bytes = static_cast<const unsigned char*>(sqlite3_column_blob(handle_, column));
    uint128 value = 0;
    if (sqlite3_column_bytes(handle_, column) != 16) return 0;
    for (int i = 0; i < 16; ++i)
      value = (value << 8) | bytes[i];
    return value;
  }

 private:
  error failure() const {
    const int code = sqlite3_errcode(database_) & 0xff;
    const error_code kind = code == SQLITE_FULL ? error_code::storage_full
                            : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? error_code::corrupt
                                                                              : error_code::io;
    return {kind, std::string("catalog: ") + sqlite3_errmsg(database_)};
  }
  sqlite3* database_;
  sqlite3_stmt* handle_ = nullptr;
  int bound_ = 0;
};

std::optional<std::uint32_t> number_of(const std::optional<shard_index>& shard) {
  return shard.has_value() ? std::optional(shard->value) : std::nullopt;
}

std::optional<shard_index> shard_of(const std::optional<std::uint32_t>& number) {
  return number.has_value() ? std::optional(shard_index(*number)) : std::nullopt;
}

class sqlite_catalog final : public catalog {
 public:
  explicit sqlite_catalog(sqlite3* database) : database_(database) {}
  ~sqlite_catalog() override { sqlite3_close(database_); }

  status prepare_schema();

  result<stream_description> create_stream(std::string_view name, std::uint32_t shards,
                                           const retention_policy& retention, std::uint64_t now_us,
                                           const prepare_stream& prepare) override;
  status delete_stream(stream_id id) override;
  result<std::vector<stream_description>> list() const override;
  result<stream_description> describe(std::string_view name) const override;
  status set_retention(stream_id id, const retention_policy& retention) override;
  status replace_shards(const stream_description& after) override;
  status forget_shards(stream_id id, const std::vector<shard_index>& expired) override;
  result<stream_attributes> attributes(stream_id id) const override;
  status set_attribute(stream_id id, std::string_view name,
                       std::optional<std::string_view> value) override;

 private:
  status execute_script(const char* sql) const;
  status upgrade(std::size_t from);
  status execute(const char* sql) const { return statement(database_, sql).run(); }
  /// Runs `change` in one transaction; whatever it did is undone when it or the commit fails.
  status transaction(const std::function<status()>& change);
  result<std::int64_t> count_streams() const;
  /// Gives `made` its id.
  status insert_stream(stream_description& made);
  status insert_shards(const stream_description& of);
  status read_shards(stream_description& of) const;
  result<std::vector<stream_description>> read_streams(std::optional<std::string_view> name) const;

  mutable std::mutex mutex_;  // one connection, used by one thread at a time
  sqlite3* database_;
};

status sqlite_catalog::prepare_schema() {
  // A rollback journal whose removal is synced as well: the commit point is a durable one.
  MILLRACE_TRY(execute("PRAGMA journal_mode = DELETE"));
  MILLRACE_TRY(execute("PRAGMA synchronous = EXTRA"));
  MILLRACE_TRY(execute("PRAGMA foreign_keys = ON"));
  statement version(database_, "PRAGMA user_version");
  MILLRACE_ASSIGN(const bool has_version, version.step());
  const std::int64_t found = has_version ? version.integer(0) : 0;
  statement owner(database_, "PRAGMA application_id");
  MILLRACE_ASSIGN(const bool has_owner, owner.step());
  const std::int64_t found_id = has_owner ? owner.integer(0) : 0;
  if (found == 0 && found_id == 0) {
    return transaction([this]() -> status {
      MILLRACE_TRY(execute_script(schema));
      MILLRACE_TRY(execute(("PRAGMA application_id = " + std::to_string(application_id)).c_str()));
      return upgrade(0);
    });
  }
  if (found_id != application_id) {
    return error(error_code::corrupt, "catalog: the database belongs to another program");
  }
  if (found >= 1 && found < schema_version) {
    return transaction([&] { return upgrade(static_cast<std::size_t>(found) - 1); });
  }
  if (found != schema_version) {
    return error(error_code::unsupported, "catalog: schema version " + std::to_string(found) +
                                              " is not " + std::to_string(schema_version));
  }
  return {};
}

status sqlite_catalog::execute_script(const char* sql) const {
  char* message = nullptr;
  if (sqlite3_exec(database_, sql, nullptr, nullptr, &message) == SQLITE_OK) return {};
  error failure(error_code::io, std::string("catalog: ") + message);
  sqlite3_free(message);
  return failure;
}

/// Inside a transaction.
status sqlite_catalog::upgrade(std::size_t from) {
  for (std::size_t i = from; i < upgrades.size(); ++i)
    MILLRACE_TRY(execute_script(upgrades[i]));
  return execute(("PRAGMA user_version = " + std::to_string(schema_version)).c_str());
}

status sqlite_catalog::transaction(const std::function<status()>& change) {
  MILLRACE_TRY(execute("BEGIN IMMEDIATE"));
  status outcome = change();
  if (outcome.ok()) outcome = execute("COMMIT");
  if (!outcome.ok() && sqlite3_get_autocommit(database_) == 0) {
    // The first failure is the one to report; a rollback that fails as well leaves nothing behind.
    [[maybe_unused]] const status undone = execute("ROLLBACK");
  }
  return outcome;
}

result<std::int64_t> sqlite_catalog::count_streams() const {
  statement count(database_, "SELECT count(*) FROM streams");
  MILLRACE_ASSIGN([[maybe_unused]] const bool row, count.step());
  return count.integer(0);
}

status sqlite_catalog::insert_shards(const stream_description& of) {
  statement insert(database_,
                   "INSERT INTO shards (stream, shard, hash_first, hash_last, parent,"
                   " adjacent_parent, created_s, closed_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                   " ON CONFLICT (stream, shard) DO UPDATE SET closed_s = excluded.closed_s"
                   " WHERE closed_s IS NOT excluded.closed_s");
  for (const shard_info& shard : of.shards) {
    insert.bind(std::int64_t{of.id.value}).bind(std::int64_t{shard.shard.value});
    insert.bind_hash(shard.hash_first).bind_hash(shard.hash_last);
    insert.bind(number_of(shard.parent)).bind(number_of(shard.adjacent_parent));
    insert.bind(std::int64_t{shard.created_s}).bind(shard.closed_s);
    MILLRACE_TRY(insert.run());
    insert.reset();
  }
  return {};
}

status sqlite_catalog::insert_stream(stream_description& made) {
  const retention_policy& retention = made.retention;
  statement insert(database_,
                   "INSERT INTO streams (name, created_us, retention_hours, retention_bytes,"
                   " when_full, next_shard) VALUES (?, ?, ?, ?, ?, ?)");
  insert.bind(std::string_view(made.name)).bind(static_cast<std::int64_t>(made.created_us));
  insert.bind(std::int64_t{retention.hours}).bind(static_cast<std::int64_t>(retention.bytes_max));
  insert.bind(static_cast<std::int64_t>(retention.when_full));
  insert.bind(std::int64_t{made.next_shard.value});
  MILLRACE_TRY(insert.run());
  made.id = stream_id(static_cast<std::uint32_t>(sqlite3_last_insert_rowid(database_)));
  return insert_shards(made);
}

result<stream_description> sqlite_catalog::create_stream(std::string_view name,
                                                         std::uint32_t shards,
                                                         const retention_policy& retention,
                                                         std::uint64_t now_us,
                                                         const prepare_stream& prepare) {
  MILLRACE_TRY(check_stream_name(name));
  MILLRACE_TRY(check_retention(retention));
  if (shards < 1 || shards > limits::open_shards_max) {
    return error(error_code::invalid_argument,
                 "stream '" + std::string(name) + "': " + std::to_string(shards) +
                     " shards; a stream has 1 to " + std::to_string(limits::open_shards_max));
  }
  stream_description made{.id = {},
                          .name = std::string(name),
                          .created_us = now_us,
                          .retention = retention,
                          .shards = {},
                          .next_shard = shard_index(shards)};
  for (std::uint32_t i = 0; i < shards; ++i) {
    made.shards.push_back(
        {.shard = shard_index(i),
         .hash_first = even_shard_start(i, shards),
         .hash_last = i + 1 == shards ? uint128_max : even_shard_start(i + 1, shards) - 1,
         .parent = {},
         .adjacent_parent = {},
         .created_s = static_cast<std::uint32_t>(now_us / 1'000'000),
         .closed_s = {}});
  }
  std::lock_guard lock(mutex_);
  MILLRACE_ASSIGN(const std::int64_t streams, count_streams());
  if (streams >= limits::streams_max) {
    return error(error_code::exhausted, "stream '" + made.name + "': there are " +
                                            std::to_string(streams) + " streams, the limit");
  }
  MILLRACE_ASSIGN(const auto namesakes, read_streams(name));
  if (!namesakes.empty()) {
    return error(error_code::already_exists, "stream '" + made.name + "' exists already");
  }
  const status stored = transaction([&]() -> status {
    MILLRACE_TRY(insert_stream(made));
    return prepare ? prepare(made) : status();
  });
  MILLRACE_TRY(stored);
  return made;
}

status sqlite_catalog::delete_stream(stream_id id) {
  std::lock_guard lock(mutex_);
  return transaction([&]() -> status {
    for (const char* sql :
         {"DELETE FROM streams WHERE id = ?", "DELETE FROM attributes WHERE stream = ?"})
      MILLRACE_TRY(statement(database_, sql).bind(std::int64_t{id.value}).run());
    return {};
  });
}

status sqlite_catalog::read_shards(stream_description& of) const {
  statement select(
      database_,
      "SELECT shard, hash_first, hash_last, parent, adjacent_parent, created_s, closed_s"
      " FROM shards WHERE stream = ? ORDER BY shard");
  select.bind(std::int64_t{of.id.value});
  std::vector<std::pair<uint128, uint128>> open;
  while (true) {
    MILLRACE_ASSIGN(const bool row, select.step());
    if (!row) break;
    of.shards.push_back({.shard = shard_index(static_cast<std::uint32_t>(select.integer(0))),
                         .hash_first = select.hash(1),
                         .hash_last = select.hash(2),
                         .parent = shard_of(select.optional_integer(3)),
                         .adjacent_parent = shard_of(select.optional_integer(4)),
                         .created_s = static_cast<std::uint32_t>(select.integer(5)),
                         .closed_s = select.optional_integer(6)});
    const shard_info& shard = of.shards.back();
    if (shard.is_open()) open.emplace_back(shard.hash_first, shard.hash_last);
  }
  std::sort(open.begin(), open.end());
  bool whole = !open.empty() && open.front().first == 0 && open.back().second == uint128_max &&
               open.size() <= limits::open_shards_max;
  for (std::size_t i = 1; whole && i < open.size(); ++i) {
    whole = open[i].first > open[i - 1].first && open[i].first - 1 == open[i - 1].second;
  }
  if (!whole) {
    return error(error_code::corrupt, "catalog: the open shards of stream '" + of.name +
                                          "' do not cover the hash space exactly once");
  }
  return {};
}

result<std::vector<stream_description>> sqlite_catalog::read_streams(
    std::optional<std::string_view> name) const {
  statement select(database_,
                   "SELECT id, name, created_us, retention_hours, retention_bytes, when_full,"
                   " next_shard FROM streams WHERE ?1 IS NULL OR name = ?1 ORDER BY name");
  if (name.has_value()) select.bind(*name);
  std::vector<stream_description> found;
  while (true) {
    MILLRACE_ASSIGN(const bool row, select.step());
    if (!row) break;
    found.push_back(
        {.id = stream_id(static_cast<std::uint32_t>(select.integer(0))),
         .name = select.text(1),
         .created_us = static_cast<std::uint64_t>(select.integer(2)),
         .retention = {.hours = static_cast<std::uint32_t>(select.integer(3)),
                       .bytes_max = static_cast<std::uint64_t>(select.integer(4)),
                       .when_full = static_cast<full_policy>(select.integer(5) != 0 ? 1 : 0)},
         .shards = {},
         .next_shard = shard_index(static_cast<std::uint32_t>(select.integer(6)))});
    MILLRACE_TRY(read_shards(found.back()));
  }
  return found;
}

result<std::vector<stream_description>> sqlite_catalog::list() const {
  std::lock_guard lock(mutex_);
  return read_streams(std::nullopt);
}

result<stream_description> sqlite_catalog::describe(std::string_view name) const {
  std::lock_guard lock(mutex_);
  MILLRACE_ASSIGN(auto found, read_streams(name));
  if (found.empty()) {
    return error(error_code::not_found, "stream '" + std::string(name) + "' does not exist");
  }
  return std::move(found.front());
}

status sqlite_catalog::set_retention(stream_id id, const retention_policy& retention) {
  MILLRACE_TRY(check_retention(retention));
  std::lock_guard lock(mutex_);
  return transaction([&] {
    statement update(database_,
                     "UPDATE streams SET retention_hours = ?, retention_bytes = ?, when_full = ?"
                     " WHERE id = ?");
    update.bind(std::int64_t{retention.hours}).bind(static_cast<std::int64_t>(retention.bytes_max));
    update.bind(static_cast<std::int64_t>(retention.when_full)).bind(std::int64_t{id.value});
    return update.run();
  });
}

status sqlite_catalog::replace_shards(const stream_description& after) {
  std::lock_guard lock(mutex_);
  return transaction([&]() -> status {
    MILLRACE_TRY(insert_shards(after));
    statement update(database_, "UPDATE streams SET next_shard = ? WHERE id = ?");
    update.bind(std::int64_t{after.next_shard.value}).bind(std::int64_t{after.id.value});
    return update.run();
  });
}

status sqlite_catalog::forget_shards(stream_id id, const std::vector<shard_index>& expired) {
  std::lock_guard lock(mutex_);
  return transaction([&]() -> status {
    statement forget(database_,
                     "DELETE FROM shards WHERE stream = ? AND shard = ? AND closed_s IS NOT NULL");
    for (const shard_index shard : expired) {
      forget.bind(std::int64_t{id.value}).bind(std::int64_t{shard.value});
      MILLRACE_TRY(forget.run());
      forget.reset();
    }
    return {};
  });
}

result<stream_attributes> sqlite_catalog::attributes(stream_id id) const {
  std::lock_guard lock(mutex_);
  statement select(database_, "SELECT name, value FROM attributes WHERE stream = ?");
  select.bind(std::int64_t{id.value});
  stream_attributes found;
  while (true) {
    MILLRACE_ASSIGN(const bool row, select.step());
    if (!row) return found;
    found.emplace(select.text(0), select.text(1));
  }
}

status sqlite_catalog::set_attribute(stream_id id, std::string_view name,
                                     std::optional<std::string_view> value) {
  std::lock_guard lock(mutex_);
  return transaction([&] {
    if (!value.has_value())
      return statement(database_, "DELETE FROM attributes WHERE stream = ? AND name = ?")
          .bind(std::int64_t{id.value})
          .bind(name)
          .run();
    return statement(database_,
                     "INSERT INTO attributes (stream, name, value) VALUES (?, ?, ?)"
                     " ON CONFLICT (stream, name) DO UPDATE SET value = excluded.value")
        .bind(std::int64_t{id.value})
        .bind(name)
        .bind(*value)
        .run();
  });
}

}  // namespace

result<std::unique_ptr<catalog>> catalog::open(const std::string& path) {
  sqlite3* database = nullptr;
  // Our own mutex guards the connection, so SQLite's is not needed.
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &database, flags, nullptr);
  auto made = std::make_unique<sqlite_catalog>(database);
  if (code != SQLITE_OK) {
    return error(
        error_code::io,
        "catalog " + path + ": " + (database != nullptr ? sqlite3_errmsg(database) : "no memory"));
  }
  if (status prepared = made->prepare_schema(); !prepared.ok()) {
    return std::move(prepared).failure().with_context(path);
  }
  return std::unique_ptr<catalog>(std::move(made));
}

}  // namespace millrace
