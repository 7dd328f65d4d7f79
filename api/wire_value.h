#pragma once
/// What a client sent, as a tree, whatever encoding it came in. For requests that are small; the
/// records of PutRecords never become one.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/types.h"

namespace millrace {

enum class wire_encoding : std::uint8_t { json, cbor };

struct wire_value {
  enum class kind : std::uint8_t { null, boolean, integer, real, text, blob, list, map };

  kind is = kind::null;
  bool boolean = false;
  std::int64_t integer = 0;
  double real = 0;                 ///< also of an integer
  std::string text;                ///< text and blob
  std::vector<wire_value> items;   ///< of a list, or the values of a map
  std::vector<std::string> names;  ///< of a map, beside `items`

  /// A map's value of that name; null when it is absent or null.
  const wire_value* find(std::string_view name) const;
};

/// Nothing that a client means is deeper, and a tree this size is built in a moment.
inline constexpr int wire_depth_max = 16;
inline constexpr std::size_t wire_values_max = 100'000;

/// `text` has 64 readable bytes behind it. `invalid_argument` when it is not one JSON value.
result<wire_value> parse_json(std::string_view text);
/// RFC 8949; definite and indefinite lengths, tags are passed over.
result<wire_value> parse_cbor(byte_view bytes);

}  // namespace millrace
