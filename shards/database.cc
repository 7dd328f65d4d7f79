#include "shards/database.h"

#include <array>
#include <utility>

#include <sqlite3.h>

namespace millrace {
namespace {

using wide_bytes = std::array<std::byte, 16>;

wide_bytes to_bytes(uint128 value) {
  wide_bytes bytes;
  for (auto at = bytes.rbegin(); at != bytes.rend(); ++at) {
    *at = static_cast<std::byte>(value);
    value >>= 8;
  }
  return bytes;
}

error_code kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return error_code::storage_full;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return error_code::corrupt;
    default:
      return error_code::io;
  }
}

}  // namespace

// --- the connection ------------------------------------------------------------------------------

void database::closer::operator()(sqlite3* handle) const {
  sqlite3_close(handle);
}

result<database> database::open(const std::string& path, std::string name) {
  sqlite3* handle = nullptr;
  // A connection has one thread at a time, so SQLite's own mutex is not needed.
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  database made(handle, std::move(name));
  if (handle == nullptr) return error(error_code::io, made.name_ + ": out of memory");
  if (code != SQLITE_OK) return made.failure();
  return made;
}

error database::failure() const {
  return {kind_of(sqlite3_errcode(handle_.get())), name_ + ": " + sqlite3_errmsg(handle_.get())};
}

status database::prepare(const schema& wanted) {
  const auto newest = static_cast<std::int64_t>(wanted.upgrades.size()) + 1;
  MILLRACE_ASSIGN(const std::int64_t version, number("PRAGMA user_version"));
  MILLRACE_ASSIGN(const std::int64_t owner, number("PRAGMA application_id"));
  const bool is_new = version == 0 && owner == 0;
  if (!is_new && owner != wanted.application_id) {
    return error(error_code::corrupt, name_ + ": the database belongs to another program");
  }
  if (!is_new && (version < 1 || version > newest)) {
    return error(error_code::unsupported, name_ + ": schema version " + std::to_string(version) +
                                              " is not 1 to " + std::to_string(newest));
  }
  if (version == newest) return {};
  return transaction([&]() -> status {
    if (is_new) {
      MILLRACE_TRY(execute(wanted.first));
      MILLRACE_TRY(execute("PRAGMA application_id = " + std::to_string(wanted.application_id)));
    }
    const std::size_t done = is_new ? 0 : static_cast<std::size_t>(version) - 1;
    for (const char* const script : wanted.upgrades.subspan(done))
      MILLRACE_TRY(execute(script));
    return execute("PRAGMA user_version = " + std::to_string(newest));
  });
}

status database::execute(const std::string& script) const {
  if (sqlite3_exec(handle_.get(), script.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return failure();
  }
  return {};
}

result<std::int64_t> database::number(const char* sql) const {
  statement one(*this, sql);
  MILLRACE_ASSIGN(const bool found, one.step());
  return found ? one.integer(0) : 0;
}

status database::transaction(const std::function<status()>& change) const {
  MILLRACE_TRY(execute("BEGIN IMMEDIATE"));
  status outcome = change();
  if (outcome.ok()) outcome = execute("COMMIT");
  if (!outcome.ok() && sqlite3_get_autocommit(handle_.get()) == 0) {
    // The first failure is the one to report; a rollback that fails as well leaves nothing behind.
    [[maybe_unused]] const status undone = execute("ROLLBACK");
  }
  return outcome;
}

void database::wait_for_locks(int milliseconds) const {
  sqlite3_busy_timeout(handle_.get(), milliseconds);
}

std::int64_t database::last_row_id() const {
  return sqlite3_last_insert_rowid(handle_.get());
}

// --- its statements ------------------------------------------------------------------------------

statement::statement(const database& on, const char* sql) : database_(on) {
  sqlite3_prepare_v2(on.handle_.get(), sql, -1, &handle_, nullptr);
}

statement::~statement() {
  sqlite3_finalize(handle_);
}

// A handle that could not be prepared is null: binding to it does nothing, step() says why.

statement& statement::bind(std::int64_t value) {
  sqlite3_bind_int64(handle_, ++bound_, value);
  return *this;
}

statement& statement::bind(std::optional<std::uint32_t> value) {
  if (value.has_value()) return bind(std::int64_t{*value});
  sqlite3_bind_null(handle_, ++bound_);
  return *this;
}

statement& statement::bind(std::string_view text) {
  sqlite3_bind_text64(handle_, ++bound_, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

statement& statement::bind(byte_view bytes) {
  if (bytes.empty()) {
    sqlite3_bind_zeroblob(handle_, ++bound_, 0);
  } else {
    sqlite3_bind_blob64(handle_, ++bound_, bytes.data(), bytes.size(), SQLITE_STATIC);
  }
  return *this;
}

statement& statement::bind(uint128 value) {
  const wide_bytes bytes = to_bytes(value);
  sqlite3_bind_blob64(handle_, ++bound_, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  return *this;
}

result<bool> statement::step() {
  const int code = handle_ == nullptr ? SQLITE_ERROR : sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_.failure();
}

status statement::run() {
  MILLRACE_ASSIGN([[maybe_unused]] const bool row, step());
  sqlite3_reset(handle_);
  bound_ = 0;
  return {};
}

std::int64_t statement::integer(int column) const {
  return sqlite3_column_int64(handle_, column);
}

std::optional<std::uint32_t> statement::optional_natural32(int column) const {
  if (sqlite3_column_type(handle_, column) == SQLITE_NULL) return std::nullopt;
  return natural32(column);
}

byte_view statement::bytes(int column) const {
  const void* const data = sqlite3_column_blob(handle_, column);
  const int size = sqlite3_column_bytes(handle_, column);
  return {static_cast<const std::byte*>(data), static_cast<std::size_t>(size)};
}

std::string statement::text(int column) const {
  const byte_view all = bytes(column);
  return {reinterpret_cast<const char*>(all.data()), all.size()};
}

uint128 statement::wide(int column) const {
  const byte_view all = bytes(column);
  uint128 value = 0;
  if (all.size() != sizeof value) return 0;
  for (const std::byte one : all)
    value = (value << 8) | std::to_integer<unsigned>(one);
  return value;
}

}  // namespace millrace
