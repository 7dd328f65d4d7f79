#pragma once
/// A continuous query over one stream, as both backends execute it: fields out of records, a
/// filter, a window, group keys, aggregates. Written as `[[view]]` in TOML today (docs/views.md);
/// SQL compiles to the same structure. Plain data; `check` says whether it makes sense.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace millrace {

enum class field_type : std::uint8_t {
  int64,
  float64,
  string,
  boolean,
  timestamp,  ///< microseconds since 1970, UTC
};

/// How a timestamp is written in the record.
enum class time_format : std::uint8_t {
  seconds,  ///< number since 1970, decimals allowed
  milliseconds,
  microseconds,
  rfc3339,     ///< 2026-01-31T12:00:00.25Z, or with an offset
  access_log,  ///< 17/May/2015:10:05:03 +0000
};

enum class record_layout : std::uint8_t {
  none,        ///< built-in fields alone
  json,        ///< one document a record
  csv,         ///< one line a record (RFC 4180 quoting)
  access_log,  ///< common or combined log format
  binary,      ///< fixed offsets
};

struct json_source {
  std::string path;  ///< "requests.total", "peers[0].state": names and array indexes
};
struct csv_source {
  std::uint32_t column = 0;  ///< from 0
};
enum class access_log_part : std::uint8_t {
  host,
  ident,
  user,
  time,
  request,
  method,
  path,
  protocol,
  status,
  bytes,
  referrer,
  agent,
};
struct access_log_source {
  access_log_part part{};
};
enum class binary_kind : std::uint8_t { i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, text };
struct binary_source {
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;  ///< text: its width, padded with zero bytes or spaces
  binary_kind kind{};
  bool big_endian = false;
};
// GCC takes the name of a scoped enumerator for a shadow of ids.h's record_number.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
enum class builtin_field : std::uint8_t {
  partition_key,  ///< string
  arrival_time,   ///< timestamp
  shard,          ///< int64
  record_number,  ///< int64: the record's index in its shard, the heart of its sequence number
  record_bytes,   ///< int64: bytes of its data
};
#pragma GCC diagnostic pop

struct field_plan {
  std::string name;
  field_type type{};
  std::variant<json_source, csv_source, access_log_source, binary_source, builtin_field> source;
  time_format format = time_format::seconds;  ///< timestamps alone
};

/// Three-valued logic as in SQL: a comparison with null is unknown, and unknown is not taken.
struct filter_plan {
  enum class kind : std::uint8_t {
    all_of,  ///< of `parts`, at least one
    any_of,
    negation,  ///< of parts[0]
    equal,
    not_equal,
    less,
    less_equal,
    greater,
    greater_equal,  ///< field against values[0]
    one_of,         ///< field against all values
    is_null,        ///< field
    has_prefix,     ///< string field, values[0]
  };
  /// The alternative fits the field's type; timestamps compare with int64 microseconds.
  using literal = std::variant<std::int64_t, double, std::string, bool>;
  kind op{};
  std::vector<filter_plan> parts;
  std::uint16_t field = 0;  ///< of view_plan::fields
  std::vector<literal> values;
};

enum class window_kind : std::uint8_t { tumbling, hopping, session };

/// Windows are half-open, [start, start + size), with starts at offset + n * hop since the epoch. A
/// session is the records of one group with no gap of `size_us` or more between neighbours.
struct window_plan {
  window_kind kind{};
  std::int64_t size_us = 0;    ///< session: the gap
  std::int64_t hop_us = 0;     ///< hopping: divides size_us; tumbling: size_us
  std::int64_t offset_us = 0;  ///< 0 <= offset < hop
};

enum class aggregate_kind : std::uint8_t {
  count,  ///< of records, or of those whose field is not null
  sum,    ///< int64 exactly (an overflow of the result is null), double
  min,
  max,
  avg,
  stddev,                 ///< of the sample
  approx_count_distinct,  ///< HyperLogLog
  approx_percentile,      ///< DDSketch
  first,                  ///< by (event time, shard, record number)
  last,
};

struct aggregate_plan {
  std::string name;
  aggregate_kind kind{};
  std::optional<std::uint16_t> field;  ///< none: count of records
  double quantile = 0;                 ///< approx_percentile: 0 to 1
};

/// Keeps the `count` rows of a closed window with the greatest value; ties go by group key.
struct top_plan {
  std::uint16_t aggregate = 0;  ///< of view_plan::aggregates
  std::uint32_t count = 0;
};

struct view_plan {
  std::string name;
  std::string stream;
  record_layout layout{};
  char csv_delimiter = ',';
  std::vector<field_plan> fields;
  std::optional<filter_plan> filter;
  std::vector<std::uint16_t> group_by;  ///< of `fields`
  window_plan window;
  std::optional<std::uint16_t> time_field;  ///< a timestamp of `fields`; none: arrival time
  std::vector<aggregate_plan> aggregates;
  std::optional<top_plan> top;

  std::int64_t delay_us = 0;                ///< a shard's watermark is its newest time less this
  std::int64_t future_max_us = 60'000'000;  ///< times further past arrival move no watermark
  std::int64_t idle_us = 10'000'000;        ///< a shard silent for so long holds no window open

  std::uint64_t groups_max = 1'000'000;  ///< over all open windows
  std::uint32_t windows_max = 4096;      ///< open at once (panes, for hopping ones)
  std::uint64_t state_bytes_max = 1ull << 30;
  bool as_metrics = false;  ///< the newest closed window shows at /metrics
};

/// `invalid_argument` names the view, the part and the limit.
status check(const view_plan& plan);

std::string_view to_string(field_type type);
std::string_view to_string(window_kind kind);
std::string_view to_string(aggregate_kind kind);

/// "max of a timestamp is a timestamp": the type of an aggregate's result. count and
/// approx_count_distinct are int64, avg, stddev and approx_percentile float64.
field_type type_of(const aggregate_plan& aggregate, const view_plan& plan);

}  // namespace millrace
