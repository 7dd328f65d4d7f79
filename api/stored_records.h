#pragma once
/// Entries of Records, as GetRecords and SubscribeToShard answer them.
#include <cstdint>
#include <string>

#include "api/wire_writer.h"
#include "base/ids.h"
#include "shards/sequence_number.h"
#include "shards/stream_log.h"

namespace millrace {

/// Writes the records of one shard into a list of `out`. What records that arrived together have in
/// common is made once. One thread.
class stored_record_writer {
 public:
  /// `out` outlives it.
  stored_record_writer(wire_writer& out, std::uint32_t shard_created_s)
      : out_(out), shard_created_s_(shard_created_s) {}

  /// One entry; its EncryptionType is that of its block, whatever the stream's is now.
  void write(const stored_record& one);

 private:
  void make_head(const stored_record& one, std::string_view sequence);

  wire_writer& out_;
  const std::uint32_t shard_created_s_;
  sequence_writer sequences_;
  std::string head_;             // an entry up to its data, with the last record's number
  std::size_t sequence_at_ = 0;  // in head_
  std::size_t sequence_bytes_ = 0;
  std::uint64_t arrival_us_ = 0;  // in head_
};

}  // namespace millrace
