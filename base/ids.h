#pragma once
/// Strong types for the numbers that must never be mixed up. `value` is the bare number; there is
/// no implicit conversion in either direction and no arithmetic except `next()`.
#include <compare>
#include <cstdint>
#include <functional>

#include "base/types.h"

namespace millrace {

template <class Tag, class Rep>
struct strong_id {
  Rep value{};

  constexpr strong_id() = default;
  constexpr explicit strong_id(Rep v) : value(v) {}
  constexpr strong_id next(Rep count = 1) const {
    return strong_id(static_cast<Rep>(value + count));
  }
  friend constexpr bool operator==(strong_id a, strong_id b) { return a.value == b.value; }
  friend constexpr std::strong_ordering operator<=>(strong_id a, strong_id b) {
    return a.value < b.value   ? std::strong_ordering::less
           : b.value < a.value ? std::strong_ordering::greater
                               : std::strong_ordering::equal;
  }
};

/// A stream's number in the catalog; never reused, so a deleted stream's files are never mistaken.
using stream_id = strong_id<struct stream_id_tag, std::uint32_t>;
/// N of "shardId-N": increases within a stream, never reused.
using shard_index = strong_id<struct shard_index_tag, std::uint32_t>;
/// A shard's position in a shard map (the open shards of a stream, by starting hash key).
using shard_ordinal = strong_id<struct shard_ordinal_tag, std::uint16_t>;
/// Position of a record in its shard's log, from 0, without gaps. Part of the sequence number.
using record_index = strong_id<struct record_index_tag, std::uint64_t>;
/// A producer's number for a record, from 0, without gaps; the server drops duplicates by it.
using record_number = strong_id<struct record_number_tag, std::uint64_t>;
/// Number of a datagram within a session and direction; never reused, even to resend.
using packet_number = strong_id<struct packet_number_tag, std::uint64_t>;
/// Given by the server at each OPEN of a producer on a stream; a higher one fences the lower.
using epoch_number = strong_id<struct epoch_number_tag, std::uint32_t>;
/// Random, unguessable name of a session.
using session_id = strong_id<struct session_id_tag, std::uint64_t>;
/// Identity of a producer, chosen by it, kept across reconnects. Zero: none (raw datagrams, HTTP).
using producer_id = strong_id<struct producer_id_tag, uint128>;
/// Number of a segment file within a stream's log, from 1.
using segment_number = strong_id<struct segment_number_tag, std::uint64_t>;

}  // namespace millrace

template <class Tag, class Rep>
struct std::hash<millrace::strong_id<Tag, Rep>> {
  std::size_t operator()(millrace::strong_id<Tag, Rep> id) const noexcept {
    if constexpr (sizeof(Rep) == 16) {
      return static_cast<std::size_t>(static_cast<std::uint64_t>(id.value >> 64) *
                                          0x9e3779b97f4a7c15u ^
                                      static_cast<std::uint64_t>(id.value));
    } else {
      return std::hash<Rep>()(id.value);
    }
  }
};
