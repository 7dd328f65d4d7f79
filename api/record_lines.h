#pragma once
/// What a client makes of the lines of the admin port's records (record_reading.h writes them).
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace millrace {

/// A line: a record's data, or the cursor at the end.
struct record_line {
  bool is_cursor = false;
  std::string cursor;
  bool caught_up = false;
  std::string data;
};
/// `want_data`: decode the data of a record too.
result<record_line> parse_record_line(std::string_view line, bool want_data);

/// A record within a record: its line, without the line's end, and its data.
struct record_part {
  std::string line;
  std::string data;
};
/// The records within a line's record when it is an aggregate of the KPL (kpl_aggregate.h),
/// otherwise none. Their lines are as the aggregate's, with "subsequence", 0 and up, behind
/// "sequence", a key and data of their own, and "explicit_hash_key" where they have one.
result<std::vector<record_part>> split_record_line(std::string_view line);

}  // namespace millrace
