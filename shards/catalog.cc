#include "shards/catalog.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/limits.h"
#include "shards/database.h"

namespace millrace {
namespace {

constexpr const char* first_schema = R"sql(
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

constexpr const char* upgrades[] = {R"sql(
CREATE TABLE attributes (
  stream INTEGER NOT NULL,                            -- 0: of the data directory
  name   TEXT    NOT NULL,
  value  TEXT    NOT NULL,
  PRIMARY KEY (stream, name)
) WITHOUT ROWID;
)sql"};

constexpr database::schema schema{
    .application_id = 0x4d4c'5243, .first = first_schema, .upgrades = upgrades};  // "MLRC"

std::optional<std::uint32_t> number_of(const std::optional<shard_index>& shard) {
  return shard.has_value() ? std::optional(shard->value) : std::nullopt;
}

std::optional<shard_index> shard_of(const std::optional<std::uint32_t>& number) {
  return number.has_value() ? std::optional(shard_index(*number)) : std::nullopt;
}

class sqlite_catalog final : public catalog {
 public:
  explicit sqlite_catalog(database opened) : database_(std::move(opened)) {}

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
  /// Gives `made` its id.
  status insert_stream(stream_description& made);
  status insert_shards(const stream_description& of);
  status read_shards(stream_description& of) const;
  result<std::vector<stream_description>> read_streams(std::optional<std::string_view> name) const;

  mutable std::mutex mutex_;  // one connection, used by one thread at a time
  database database_;
};

status sqlite_catalog::insert_shards(const stream_description& of) {
  statement insert(database_,
                   "INSERT INTO shards (stream, shard, hash_first, hash_last, parent,"
                   " adjacent_parent, created_s, closed_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                   " ON CONFLICT (stream, shard) DO UPDATE SET closed_s = excluded.closed_s"
                   " WHERE closed_s IS NOT excluded.closed_s");
  for (const shard_info& shard : of.shards) {
    insert.bind(std::int64_t{of.id.value}).bind(std::int64_t{shard.shard.value});
    insert.bind(shard.hash_first).bind(shard.hash_last);
    insert.bind(number_of(shard.parent)).bind(number_of(shard.adjacent_parent));
    insert.bind(std::int64_t{shard.created_s}).bind(shard.closed_s);
    MILLRACE_TRY(insert.run());
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
  made.id = stream_id(static_cast<std::uint32_t>(database_.last_row_id()));
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
  MILLRACE_ASSIGN(const std::int64_t streams, database_.number("SELECT count(*) FROM streams"));
  if (streams >= limits::streams_max) {
    return error(error_code::exhausted, "stream '" + made.name + "': there are " +
                                            std::to_string(streams) + " streams, the limit");
  }
  MILLRACE_ASSIGN(const auto namesakes, read_streams(name));
  if (!namesakes.empty()) {
    return error(error_code::already_exists, "stream '" + made.name + "' exists already");
  }
  const status stored = database_.transaction([&]() -> status {
    MILLRACE_TRY(insert_stream(made));
    return prepare ? prepare(made) : status();
  });
  MILLRACE_TRY(stored);
  return made;
}

status sqlite_catalog::delete_stream(stream_id id) {
  std::lock_guard lock(mutex_);
  return database_.transaction([&]() -> status {
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
    of.shards.push_back({.shard = shard_index(select.natural32(0)),
                         .hash_first = select.wide(1),
                         .hash_last = select.wide(2),
                         .parent = shard_of(select.optional_natural32(3)),
                         .adjacent_parent = shard_of(select.optional_natural32(4)),
                         .created_s = select.natural32(5),
                         .closed_s = select.optional_natural32(6)});
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
        {.id = stream_id(select.natural32(0)),
         .name = select.text(1),
         .created_us = select.natural(2),
         .retention = {.hours = select.natural32(3),
                       .bytes_max = select.natural(4),
                       .when_full = static_cast<full_policy>(select.integer(5) != 0 ? 1 : 0)},
         .shards = {},
         .next_shard = shard_index(select.natural32(6))});
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
  return database_.transaction([&] {
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
  return database_.transaction([&]() -> status {
    MILLRACE_TRY(insert_shards(after));
    statement update(database_, "UPDATE streams SET next_shard = ? WHERE id = ?");
    update.bind(std::int64_t{after.next_shard.value}).bind(std::int64_t{after.id.value});
    return update.run();
  });
}

status sqlite_catalog::forget_shards(stream_id id, const std::vector<shard_index>& expired) {
  std::lock_guard lock(mutex_);
  return database_.transaction([&]() -> status {
    statement forget(database_,
                     "DELETE FROM shards WHERE stream = ? AND shard = ? AND closed_s IS NOT NULL");
    for (const shard_index shard : expired) {
      forget.bind(std::int64_t{id.value}).bind(std::int64_t{shard.value});
      MILLRACE_TRY(forget.run());
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
  return database_.transaction([&] {
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
  const auto open_at = [&]() -> result<database> {
    MILLRACE_ASSIGN(database opened, database::open(path, "catalog"));
    // A rollback journal whose removal is synced as well: the commit point is a durable one.
    MILLRACE_TRY(opened.execute("PRAGMA journal_mode = DELETE"));
    MILLRACE_TRY(opened.execute("PRAGMA synchronous = EXTRA"));
    MILLRACE_TRY(opened.execute("PRAGMA foreign_keys = ON"));
    MILLRACE_TRY(opened.prepare(schema));
    return opened;
  };
  result<database> opened = open_at();
  if (!opened.ok()) return std::move(opened).failure().with_context(path);
  return std::unique_ptr<catalog>(std::make_unique<sqlite_catalog>(std::move(*opened)));
}

}  // namespace millrace
