#pragma once
/// Sequence numbers in Kinesis' version-2 encoding: a 186-bit integer, printed in decimal.
/// Source of the layout: the analysis published with kinesalite, checked against the examples of
/// the AWS documentation. In hex nibbles, most significant first: 2 | shard creation second (9) |
/// low nibble of the shard (1) | index (16) | 00 | arrival second (9) | shard (8) | 2.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/ids.h"

namespace millrace {

struct sequence_number {
  std::uint32_t shard_created_s = 0;
  record_index index{};
  std::uint32_t arrival_s = 0;
  shard_index shard{};

  /// Decimal, 56 digits for today's times.
  std::string to_string() const;
  /// The same into `into`, whose end it is.
  using digits = std::array<char, 72>;
  std::string_view write(digits& into) const;
  /// `invalid_argument` when `text` is not a version-2 sequence number.
  static result<sequence_number> parse(std::string_view text);

  friend bool operator==(const sequence_number&, const sequence_number&) = default;
};

/// Writes numbers that mostly follow each other in a shard, as those of a read do: the next one is
/// the last one plus 2^80, which is added in decimal, without the divisions. One thread.
class sequence_writer {
 public:
  /// As sequence_number::write(); good until the next call.
  std::string_view write(const sequence_number& of);

 private:
  sequence_number last_;
  std::array<std::uint64_t, 4> parts_{};  // of 18 digits each, the lowest first; of last_
  bool has_last_ = false;
  sequence_number::digits text_{};
  std::size_t first_ = 0;  // of text_, that is not a leading zero
};

/// The index in a closed shard's EndingSequenceNumber, as Kinesis has it.
inline constexpr record_index closed_shard_index{0x7fff'ffff'ffff'ffffu};

}  // namespace millrace
