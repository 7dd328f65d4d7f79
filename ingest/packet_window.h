#pragma once
/// Which of the newest 1024 packet numbers have arrived: the replay window of a session, and the
/// bitmap of its ACKs.
#include <array>
#include <cstdint>

#include "ingest/wire_format.h"

namespace millrace {

class packet_window {
 public:
  /// True when `number` can be new: not seen, and not older than the window.
  bool is_new(std::uint64_t number) const {
    if (!any_ || number > largest_) return true;
    if (largest_ - number >= wire::replay_window_packets) return false;
    return (bits_[word_of(number)] & mask_of(number)) == 0;
  }

  /// Notes a number for which is_new() was true.
  void mark(std::uint64_t number) {
    if (!any_ || number > largest_) forget_up_to(number);
    bits_[word_of(number)] |= mask_of(number);
  }

  bool any() const { return any_; }
  std::uint64_t largest() const { return largest_; }

  /// Fills in ack_payload::packets: bit i of word w is largest - (64 w + i).
  void describe(std::uint64_t (&packets)[wire::ack_bitmap_words]) const;

 private:
  static std::size_t word_of(std::uint64_t number) { return number / 64 % wire::ack_bitmap_words; }
  static std::uint64_t mask_of(std::uint64_t number) { return std::uint64_t{1} << (number % 64); }
  /// Makes `number` the largest: the numbers it pushes out of the window are forgotten.
  void forget_up_to(std::uint64_t number);

  /// Bit n % 1024 is packet n: moving on costs nothing but clearing what is new.
  std::array<std::uint64_t, wire::ack_bitmap_words> bits_{};
  std::uint64_t largest_ = 0;
  bool any_ = false;
};

}  // namespace millrace
