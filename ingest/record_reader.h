#pragma once
/// Reads records to send from a file or standard input: lines, JSON lines or CSV, and finds each
/// record's partition key.
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/types.h"

namespace millrace {

enum class input_format : std::uint8_t {
  lines,  ///< a record is a line, also an empty one; key field: a token's number, from 1
  json,   ///< a record is a line holding one JSON object; key field: a dotted path, "user.id"
  csv,    ///< a header, then a record a row (RFC 4180; quoted fields may span lines), sent as it
          ///< stands; key field: a column's name, or its number from 1
};

/// "lines", "json" or "csv".
result<input_format> parse_input_format(std::string_view name);
std::string_view to_string(input_format format);

struct reader_options {
  std::string path;  ///< "-": standard input
  input_format format = input_format::lines;
  std::string key_field{};  ///< empty: the key is the record's number
  /// When it turns true, a wait for input ends, and so does the input. May be null.
  const std::atomic<bool>* stop = nullptr;
};

/// One input record; the views are good until the next call.
struct input_record {
  std::uint64_t number = 0;  ///< from 0, bad records counted
  std::string_view key;
  byte_view data;  ///< without its line end, LF or CRLF
};

/// One thread. Memory: one record (10 MiB at most) and a read-ahead buffer.
class record_reader {
 public:
  static result<std::unique_ptr<record_reader>> open(const reader_options& options);
  virtual ~record_reader() = default;

  /// The next record: true, or false at the end of the input. Blank lines of JSON and CSV are
  /// skipped. `invalid_argument` says what is wrong with a record, beginning with "record N: "; the
  /// next call goes on with the record after it. Any other error is final.
  virtual result<bool> next(input_record& out) = 0;

  /// Starts again at the beginning; numbers go on. `unsupported` for standard input and pipes.
  virtual status rewind() = 0;

  /// Input bytes read so far since the beginning, and their total, or 0 when it is not known.
  virtual std::uint64_t bytes_read() const = 0;
  virtual std::uint64_t bytes_total() const = 0;
};

}  // namespace millrace
