#pragma once
/// One connection to an SQLite database: https://www.sqlite.org/c3ref/intro.html. Small metadata
/// (catalog, results of views) is kept with it; records never are.
///
/// Errors are storage_full, corrupt or io by SQLite's primary result code, and begin with the
/// database's name. Threads: one at a time on each connection and its statements.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/types.h"

struct sqlite3;
struct sqlite3_stmt;

namespace millrace {

class database {
 public:
  /// Creates the file if there is none. `name` is for errors.
  static result<database> open(const std::string& path, std::string name);

  /// What a program's own database looks like, and how older ones become it.
  struct schema {
    std::int32_t application_id;              ///< so that file(1) and we tell it from others
    const char* first;                        ///< the script that makes version 1
    std::span<const char* const> upgrades{};  ///< what each version added to the one before it
  };
  /// Makes the tables of a new database, upgrades an older one, refuses anybody else's or a newer.
  status prepare(const schema& wanted);

  /// One or several statements without parameters or results.
  status execute(const std::string& script) const;
  /// The first column of the first row; 0 without one.
  result<std::int64_t> number(const char* sql) const;
  /// Runs `change` in one transaction; whatever it did is undone when it or the commit fails.
  status transaction(const std::function<status()>& change) const;
  /// How long a statement waits for another connection's lock.
  void wait_for_locks(int milliseconds) const;
  std::int64_t last_row_id() const;

 private:
  friend class statement;
  struct closer {
    void operator()(sqlite3* handle) const;
  };
  database(sqlite3* handle, std::string name) : handle_(handle), name_(std::move(name)) {}
  error failure() const;

  std::unique_ptr<sqlite3, closer> handle_;
  std::string name_;
};

/// One prepared statement: bind, step, read, in that order. The database outlives it. SQL that
/// cannot be prepared fails at the first step.
class statement {
 public:
  statement(const database& on, const char* sql);
  ~statement();
  statement(const statement&) = delete;
  statement& operator=(const statement&) = delete;

  /// The next parameter. Text is copied; bytes stay where they are until the statement has run.
  statement& bind(std::int64_t value);
  statement& bind(std::optional<std::uint32_t> value);
  statement& bind(std::string_view text);
  statement& bind(byte_view bytes);
  /// As 16 bytes, big-endian: then SQLite orders them as numbers.
  statement& bind(uint128 value);

  /// True: there is a row. False: there is none, or no more.
  result<bool> step();
  /// To its end, for its effect; ready to be bound anew.
  status run();

  std::int64_t integer(int column) const;
  std::uint64_t natural(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  std::uint32_t natural32(int column) const { return static_cast<std::uint32_t>(integer(column)); }
  /// Nothing where the database has NULL.
  std::optional<std::uint32_t> optional_natural32(int column) const;
  std::string text(int column) const;
  /// Valid until the next step.
  byte_view bytes(int column) const;
  /// What bind(uint128) stored; 0 for anything else.
  uint128 wide(int column) const;

 private:
  const database& database_;
  sqlite3_stmt* handle_ = nullptr;
  int bound_ = 0;
};

}  // namespace millrace
