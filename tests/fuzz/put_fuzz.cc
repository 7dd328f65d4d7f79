#include <algorithm>
#include <vector>

#include "api/put_request.h"
#include "api/wire_value.h"
#include "base/check.h"
#include "base/record_format.h"

/// Put requests in both encodings: whatever is accepted has become whole records inside the body,
/// one behind the other; the same bytes as a tree never do harm.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace millrace;
  if (size == 0) return 0;
  const auto encoding = (bytes[0] & 1) != 0 ? wire_encoding::cbor : wire_encoding::json;
  const bool many = (bytes[0] & 2) != 0;
  constexpr std::size_t padding = 64;
  const auto* const first = reinterpret_cast<const std::byte*>(bytes);
  std::vector<std::byte> body(first + 1, first + size);
  body.resize(body.size() + padding);
  const std::vector<std::byte> same = body;
  const std::string_view text(reinterpret_cast<const char*>(same.data()), size - 1);
  if (encoding == wire_encoding::json) {
    [[maybe_unused]] const auto tree = parse_json(text);
  } else {
    [[maybe_unused]] const auto tree = parse_cbor(byte_view(same).first(size - 1));
  }

  put_request request;
  if (decode_put(encoding, many, mutable_byte_view(body).first(size - 1), request)) return 0;
  const std::byte* at = body.data();
  MILLRACE_CHECK(!request.records.empty(), "what is accepted has records");
  for (const record_ref& one : request.records) {
    MILLRACE_CHECK(one.bytes == at, "records lie one behind the other");
    MILLRACE_CHECK(at + one.stride <= body.data() + size - 1, "and inside the body");
    MILLRACE_CHECK(check_record({at, one.stride}) == record_fault::none, "and are whole");
    at += one.stride;
  }
  return 0;
}
