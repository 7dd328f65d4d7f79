#pragma once
/// PutRecord and PutRecords decoded in place: each record's stored form is written over the text
/// that it came from, which is never shorter. No tree, no allocation per record.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/kinesis_error.h"
#include "api/wire_value.h"
#include "base/record_batch.h"
#include "base/types.h"

namespace millrace {

/// What a Put request says. Kept and used again: its vectors keep their capacity.
struct put_request {
  wire_value members;                   ///< all but the records: stream name, ARN, …
  std::vector<record_ref> records;      ///< into the body, in the order of the request
  std::uint64_t payload_bytes = 0;      ///< keys and data of all records
  std::uint32_t payload_bytes_max = 0;  ///< of the largest record
  std::uint32_t largest = 0;            ///< which one that is

  void clear();
  /// A text member; empty when it is absent.
  std::string_view text(std::string_view name) const;
};

/// Limits of PutRecords itself.
inline constexpr std::size_t put_records_max = 500;
inline constexpr std::uint64_t put_bytes_max = 10 * 1024 * 1024;

/// Reads the body of a PutRecords (`many`) or PutRecord and turns it into records. `body` has
/// http_gate::body_padding bytes behind it; its text is destroyed. In Kinesis' order: what does not
/// parse or has a wrong type is a SerializationException; then every violated constraint is
/// listed.
kinesis_outcome decode_put(wire_encoding encoding, bool many, mutable_byte_view body,
                           put_request& into);

}  // namespace millrace
