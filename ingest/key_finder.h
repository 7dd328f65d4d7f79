#pragma once
/// Finds the partition key in an input record's text: a token, a JSON field, a CSV column.
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "ingest/record_reader.h"

namespace millrace {

/// One thread.
class key_finder {
 public:
  virtual ~key_finder() = default;
  /// The key in one record's text, good until the next call; behind the text at least
  /// record_input::padding_bytes can be read. Errors say what is wrong, without the record's
  /// number.
  virtual result<std::string_view> find(std::string_view text) = 0;
};

/// `field` is the number of a whitespace-separated token, from 1.
result<std::unique_ptr<key_finder>> make_token_finder(const std::string& field);
/// `path` is dotted; empty: only checks that the text is a JSON object, and finds an empty key.
std::unique_ptr<key_finder> make_json_finder(const std::string& path);
/// `field` is a column of `header` or its number from 1; empty: only checks the number of columns.
result<std::unique_ptr<key_finder>> make_csv_finder(const std::string& field,
                                                    std::string_view header);

/// Where the CSV row that starts `text` ends: its line feed, outside of quotes; npos: not here.
/// `from` and `in_quotes` carry the search on when more text has come.
std::size_t find_csv_row_end(std::string_view text, std::size_t& from, bool& in_quotes);

}  // namespace millrace
