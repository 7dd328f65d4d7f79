#pragma once
/// Writes an answer in the encoding of the request: Kinesis' JSON 1.1 (blobs in base64, times in
/// seconds) or CBOR 1.1 (byte strings; times as tag 1 with milliseconds, as Kinesis has them,
/// against RFC 8949).
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "api/wire_value.h"
#include "base/types.h"

namespace millrace {

class wire_writer {
 public:
  explicit wire_writer(wire_encoding encoding) : encoding_(encoding) {}

  void begin_map();
  /// A map as another writer of this encoding began it; what follows goes on behind it.
  void begun_map(std::string_view beginning);
  void end_map();
  void begin_list();
  void end_list();
  /// The name of the value that follows, in a map. Plain ASCII without quotes.
  void name(std::string_view name);

  void text(std::string_view value);
  /// Text that is known to need no escape.
  void plain(std::string_view value);
  void integer(std::int64_t value);
  void boolean(bool value);
  void blob(byte_view value);
  void time(std::uint64_t us);  ///< since 1970, cut to milliseconds

  void text(std::string_view n, std::string_view value) { name(n), text(value); }
  void plain(std::string_view n, std::string_view value) { name(n), plain(value); }
  void integer(std::string_view n, std::int64_t value) { name(n), integer(value); }
  void boolean(std::string_view n, bool value) { name(n), boolean(value); }
  void time(std::string_view n, std::uint64_t us) { name(n), time(us); }

  wire_encoding encoding() const { return encoding_; }
  std::size_t size() const { return out_.size(); }
  bool empty() const { return out_.empty(); }
  void reserve(std::size_t bytes) { out_.reserve(bytes); }
  /// Writes into the memory of `empty`; before anything else.
  void use(std::string empty) { out_ = std::move(empty); }
  std::string take() { return std::move(out_); }

 private:
  void separate();
  void head(std::uint8_t major, std::uint64_t value);

  const wire_encoding encoding_;
  std::string out_;
};

}  // namespace millrace
