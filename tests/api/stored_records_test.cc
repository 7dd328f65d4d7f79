// Entries of Records: what is made once for many comes out as if each were written by itself.
#include "api/stored_records.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/record_format.h"

namespace millrace {
namespace {

constexpr std::uint32_t created_s = 1'600'000'000;

/// Keeps the bytes of its records.
class record_list {
 public:
  void add(std::string_view key, std::string_view data, std::uint64_t index,
           std::uint64_t arrival_us, bool is_encrypted = false) {
    auto& bytes = memory_.emplace_back(record_stride(key.size(), data.size(), false));
    write_record_head(bytes.data(), key, data.size(), nullptr);
    std::copy(data.begin(), data.end(),
              reinterpret_cast<char*>(bytes.data()) + sizeof(record_header) + key.size());
    records_.push_back(
        {record_view(bytes.data()), record_index(index), arrival_us, shard_index(7), is_encrypted});
  }
  const std::vector<stored_record>& all() const { return records_; }

 private:
  std::vector<std::vector<std::byte>> memory_;
  std::vector<stored_record> records_;
};

std::string one_by_one(wire_encoding encoding, const std::vector<stored_record>& records) {
  wire_writer out(encoding);
  out.begin_list();
  for (const stored_record& one : records) {
    out.begin_map();
    out.plain("SequenceNumber",
              sequence_number{created_s, one.index,
                              static_cast<std::uint32_t>(one.arrival_us / 1'000'000), one.shard}
                  .to_string());
    out.time("ApproximateArrivalTimestamp", one.arrival_us);
    out.name("Data");
    out.blob(one.record.data());
    out.text("PartitionKey", one.record.key());
    if (one.is_encrypted) out.plain("EncryptionType", "KMS");
    out.end_map();
  }
  out.end_list();
  return out.take();
}

TEST(stored_records, are_written_as_each_would_be_by_itself) {
  record_list records;
  records.add("a", "first", 5, 1'700'000'000'000'000);
  records.add("b\"", "", 6, 1'700'000'000'000'000);
  records.add("c", "the next second", 7, 1'700'000'001'000'000);
  records.add("d", "the same second", 8, 1'700'000'001'900'000, true);
  records.add("e", "after a gap", 100, 1'700'000'001'900'000);
  records.add("f", std::string(5000, 'x'), 101, 1'700'000'001'900'000);
  for (const wire_encoding encoding : {wire_encoding::json, wire_encoding::cbor}) {
    wire_writer out(encoding);
    out.begin_list();
    stored_record_writer writer(out, created_s);
    for (const stored_record& one : records.all())
      writer.write(one);
    out.end_list();
    EXPECT_EQ(out.take(), one_by_one(encoding, records.all()));
  }
}

}  // namespace
}  // namespace millrace
