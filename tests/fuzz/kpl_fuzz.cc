#include <cstdint>

#include "api/kpl_aggregate.h"
#include "base/check.h"
#include "tests/api/kpl_writer.h"

/// An aggregate around any message: what comes out lies within it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace millrace;
  const std::string data = kpl_aggregate({reinterpret_cast<const char*>(bytes), size});
  const auto records = split_kpl_aggregate(kpl_bytes(data));
  if (!records) return 0;
  MILLRACE_CHECK(!records->empty() && records->size() <= size, "more records than bytes");
  const auto lies_within = [&](const void* at, std::size_t count) {
    const auto* const from = static_cast<const char*>(at);
    return count == 0 || (from >= data.data() && from + count <= data.data() + data.size());
  };
  for (const kpl_record& one : *records) {
    MILLRACE_CHECK(lies_within(one.key.data(), one.key.size()), "a key from elsewhere");
    MILLRACE_CHECK(lies_within(one.data.data(), one.data.size()), "data from elsewhere");
  }
  return 0;
}
