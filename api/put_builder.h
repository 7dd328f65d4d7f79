#pragma once
/// Common to the JSON and the CBOR reader of Put requests: writes records over the text they came
/// from, and collects what is wrong with them.
#include <cstdint>
#include <string_view>

#include "api/put_request.h"

namespace millrace {

class put_builder {
 public:
  put_builder(mutable_byte_view body, bool many, put_request& into)
      : to_(body.data()), many_(many), into_(into) {}

  /// One record as it was read, in the body or elsewhere. `data` is base64 text in JSON, the bytes
  /// themselves in CBOR.
  struct part {
    std::string_view data;
    std::string_view key;
    std::string_view hash_key;
    bool has_data = false;
    bool has_key = false;
    bool has_hash_key = false;
  };

  /// Writes the record; everything of the body before `consumed` has been read. A
  /// SerializationException when the data is not base64.
  kinesis_outcome add(const part& what, bool is_base64, std::byte* consumed);
  /// After the last record: the constraints of the request.
  kinesis_outcome finish(bool has_records);

 private:
  static kinesis_error not_base64(std::string_view text);
  std::string member(std::string_view name) const;
  bool check(const part& what);

  std::byte* to_;
  const bool many_;
  put_request& into_;
  std::size_t count_ = 0;
  violation_list violations_;
  kinesis_outcome semantic_;  // the first; told only when no constraint is violated
};

/// A decimal number below 2^128 without leading zeros; false when it is none.
bool parse_hash_key(std::string_view text, uint128& value, bool& is_too_large);

}  // namespace millrace
