#pragma once
/// Records of the Kinesis Producer Library that hold several of its user's: a magic number, a
/// protobuf message AggregatedRecord and the message's MD5. The server stores them as they are;
/// whoever reads takes them apart.
#include <optional>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace millrace {

/// One of the records within. Refers to the aggregate's bytes, and is as it was written: a key need
/// not be UTF-8, a hash key no number.
struct kpl_record {
  std::string_view key;
  std::optional<std::string_view> explicit_hash_key;
  byte_view data;
};

/// What is in `data`, in its order; nothing when it is not an aggregate, whole and consistent in
/// itself, with at least one record. Anybody may have written it: takes time and memory in
/// proportion to its size, whatever its lengths and indexes say.
std::optional<std::vector<kpl_record>> split_kpl_aggregate(byte_view data);

}  // namespace millrace
