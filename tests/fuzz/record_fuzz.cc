#include <cstring>
#include <memory>

#include "base/check.h"
#include "base/record_format.h"

/// A record that check_record() lets through can be read whole, stays inside the bytes it came in,
/// and is written again as the same bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace millrace;
  const byte_view input(reinterpret_cast<const std::byte*>(bytes), size);
  if (check_record(input) != record_fault::none) return 0;

  const record_view record(input.data());
  MILLRACE_CHECK(record.record_bytes() <= size, "the record ends inside its input");
  MILLRACE_CHECK(check_partition_key(record.key()) == record_fault::none, "its key is good alone");
  const uint128 hash_key = record.has_hash_key() ? record.hash_key() : 0;
  const std::uint32_t stride =
      record_stride(record.key().size(), record.data().size(), record.has_hash_key());
  MILLRACE_CHECK(stride == record.stride(), "strides agree");

  const auto copy = std::make_unique<std::byte[]>(stride);
  const std::uint32_t written = write_record(copy.get(), record.key(), record.data(),
                                             record.has_hash_key() ? &hash_key : nullptr);
  MILLRACE_CHECK(written == stride, "what is written has the size that was told");
  MILLRACE_CHECK(std::memcmp(copy.get(), input.data(), record.record_bytes()) == 0,
                 "reading and writing are inverse");
  return 0;
}
