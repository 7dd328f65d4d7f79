#include "api/stored_records.h"

#include <cstring>

namespace millrace {

void stored_record_writer::make_head(const stored_record& one, std::string_view sequence) {
  wire_writer head(out_.encoding());
  head.begin_map();
  head.plain("SequenceNumber", sequence);
  head.time("ApproximateArrivalTimestamp", one.arrival_us);
  head.name("Data");
  head_ = head.take();
  sequence_at_ = head_.find(sequence);
  sequence_bytes_ = sequence.size();
  arrival_us_ = one.arrival_us;
}

void stored_record_writer::write(const stored_record& one) {
  const std::string_view sequence =
      sequences_.write({shard_created_s_, one.index,
                        static_cast<std::uint32_t>(one.arrival_us / 1'000'000), one.shard});
  if (one.arrival_us == arrival_us_ && sequence.size() == sequence_bytes_) {
    std::memcpy(head_.data() + sequence_at_, sequence.data(), sequence.size());
  } else {
    make_head(one, sequence);
  }
  out_.begun_map(head_);
  out_.blob(one.record.data());
  out_.text("PartitionKey", one.record.key());
  if (one.is_encrypted) out_.plain("EncryptionType", "KMS");
  out_.end_map();
}

}  // namespace millrace
