#include "ingest/packet_window.h"

namespace millrace {
namespace {

std::uint64_t reverse_bits(std::uint64_t x) {
  x = (x >> 1 & 0x5555'5555'5555'5555u) | (x & 0x5555'5555'5555'5555u) << 1;
  x = (x >> 2 & 0x3333'3333'3333'3333u) | (x & 0x3333'3333'3333'3333u) << 2;
  x = (x >> 4 & 0x0f0f'0f0f'0f0f'0f0fu) | (x & 0x0f0f'0f0f'0f0f'0f0fu) << 4;
  return __builtin_bswap64(x);
}

}  // namespace

void packet_window::forget_up_to(std::uint64_t number) {
  if (!any_ || number - largest_ >= wire::replay_window_packets) {
    bits_.fill(0);
  } else {
    // Usually one number; a gap clears bit by bit, at most a window of them.
    for (std::uint64_t n = largest_ + 1; n < number; ++n)
      bits_[word_of(n)] &= ~mask_of(n);
    bits_[word_of(number)] &= ~mask_of(number);
  }
  largest_ = number;
  any_ = true;
}

void packet_window::describe(std::uint64_t (&packets)[wire::ack_bitmap_words]) const {
  for (std::uint64_t w = 0; w < wire::ack_bitmap_words; ++w) {
    // The 64 numbers that end with `last`, taken from the two words they lie in.
    const std::uint64_t last = largest_ - 64 * w;
    const std::uint64_t shift = last % 64 + 1;
    const std::uint64_t here = bits_[word_of(last)];
    const std::uint64_t before = bits_[word_of(last - 64)];
    const std::uint64_t run = shift == 64 ? here : here << (64 - shift) | before >> shift;
    packets[w] = any_ ? reverse_bits(run) : 0;
  }
}

}  // namespace millrace
