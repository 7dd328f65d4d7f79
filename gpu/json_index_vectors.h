#pragma once
/// The index over any vector type; included only by the files that are compiled for one instruction
/// set each, and depending on their `Isa`, as md5_vectors.h explains.
///
/// `Isa` gives masks(bytes), which looks at 64 bytes, masks_of_some(bytes, count), which reads only
/// `count` of them and takes the others as blanks, and append(bits, base, out): base plus the
/// number of each bit that is set, in order, to `out`; returns behind the last, up to 16 more may
/// be written.
#include "gpu/json_index.h"

namespace millrace::json_detail {
namespace {

/// A bit for each of 64 bytes.
struct block_masks {
  std::uint64_t quotes;
  std::uint64_t backslashes;
  std::uint64_t structural;  ///< brackets, colons and commas, also inside strings
};

/// Each bit is the parity of those up to it: ones from an opening quote up to before the closing
/// one.
template <class Isa>
inline std::uint64_t parity_up_to(std::uint64_t bits) {
  for (int shift = 1; shift < 64; shift *= 2)
    bits ^= bits << shift;
  return bits;
}

/// The characters that a backslash makes ordinary: those behind a run of backslashes of odd length.
/// A run that starts at an even place and is odd ends at an odd place, and the other way around;
/// adding a run's first bit to the run carries to behind its end.
template <class Isa>
inline std::uint64_t escaped_characters(std::uint64_t backslashes, std::uint64_t& carry) {
  constexpr std::uint64_t even = 0x5555555555555555u;
  backslashes &= ~carry;
  const std::uint64_t behind = backslashes << 1 | carry;
  const std::uint64_t odd_starts = backslashes & ~even & ~behind;
  std::uint64_t carried = 0;
  carry = __builtin_add_overflow(odd_starts, backslashes, &carried) ? 1 : 0;
  return (even ^ carried << 1) & behind;
}

template <class Isa>
std::uint32_t index_window(const std::byte* document, std::uint32_t count, json_index_state& state,
                           std::uint32_t* out) {
  std::uint32_t* next = out;
  const std::uint32_t left = count - state.at;
  const std::uint32_t end = left < json_window_bytes ? count : state.at + json_window_bytes;
  for (std::uint32_t at = state.at; at < end; at += 64) {
    const block_masks block =
        end - at >= 64 ? Isa::masks(document + at) : Isa::masks_of_some(document + at, end - at);
    std::uint64_t escaped = state.escaped;
    if (block.backslashes != 0) {
      escaped = escaped_characters<Isa>(block.backslashes, state.escaped);
      state.escapes_end = end;
    } else {
      state.escaped = 0;
    }
    const std::uint64_t inside = parity_up_to<Isa>(block.quotes & ~escaped) ^ state.in_string;
    state.in_string = 0 - (inside >> 63);
    next = Isa::append(block.structural & ~inside, at, next);
  }
  state.at = left < json_window_bytes ? count : end;
  return static_cast<std::uint32_t>(next - out);
}

}  // namespace
}  // namespace millrace::json_detail
