#pragma once
/// The pieces of CBOR (RFC 8949), for the two readers that there are: of trees, and of the records
/// of PutRecords. Nothing outside the bytes is read.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"

namespace millrace {

inline constexpr std::uint8_t cbor_unsigned = 0;
inline constexpr std::uint8_t cbor_negative = 1;
inline constexpr std::uint8_t cbor_bytes = 2;
inline constexpr std::uint8_t cbor_text = 3;
inline constexpr std::uint8_t cbor_list = 4;
inline constexpr std::uint8_t cbor_map = 5;
inline constexpr std::uint8_t cbor_tag = 6;
inline constexpr std::uint8_t cbor_simple = 7;
inline constexpr std::uint8_t cbor_indefinite = 31;

struct cbor_head {
  std::uint8_t major = 0;
  std::uint8_t info = 0;
  std::uint64_t value = 0;  ///< the number, length or count

  bool is_break() const { return major == cbor_simple && info == cbor_indefinite; }
  bool is_null() const { return major == cbor_simple && (info == 22 || info == 23); }
};

class cbor_reader {
 public:
  explicit cbor_reader(byte_view bytes) : bytes_(bytes) {}

  /// The next head; none when the bytes end or are not CBOR.
  std::optional<cbor_head> head();
  /// The same, after any tags.
  std::optional<cbor_head> value_head();
  /// What follows the head of a byte or text string. A string in pieces is joined in memory of the
  /// reader, until the next one.
  std::optional<std::string_view> string(const cbor_head& of);
  /// Passes over the rest of a value.
  bool skip(const cbor_head& of, int depth = 0);

  bool at_end() const { return at_ == bytes_.size(); }
  std::size_t position() const { return at_; }

 private:
  byte_view bytes_;
  std::size_t at_ = 0;
  std::string joined_;
};

}  // namespace millrace
