#pragma once
/// MD5 (RFC 1321) of partition keys. Kinesis' hash key of a partition key is its MD5 digest read as
/// a big-endian 128-bit number.
///
/// The 64 steps are written once, over a `Word` that is a 32-bit number here and a vector of them
/// in the multi-buffer versions (md5_lanes.h).
#include <cstdint>
#include <cstring>

#include "base/types.h"
#include "gpu/host_device.h"

namespace millrace {

inline constexpr std::uint32_t md5_block_bytes = 64;
/// A message of this many bytes still fits in one block with its padding and length.
inline constexpr std::uint32_t md5_one_block_bytes_max = 55;

/// Blocks of a message: its bytes, a 0x80 byte, and 8 bytes of length.
MILLRACE_HOST_DEVICE inline constexpr std::uint32_t md5_blocks(std::uint32_t bytes) {
  return (bytes + 8) / md5_block_bytes + 1;
}

template <class Word>
struct md5_state {
  Word a, b, c, d;
};

inline constexpr std::uint32_t md5_start[4] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u};

/// One block into `state`. `Ops` gives the arithmetic of `Word` as static functions: add(x, y),
/// add_constant<K>(x), rotate<Bits>(x) and the round functions f, g, h, i(x, y, z). `Message`
/// gives add<I>(x): x plus word I of the block, or x itself where that word is known to be zero.
template <class Ops, class Word, class Message>
MILLRACE_HOST_DEVICE inline __attribute__((always_inline)) void md5_block(md5_state<Word>& state,
                                                                          const Message& message) {
  Word a = state.a, b = state.b, c = state.c, d = state.d;
#define MILLRACE_MD5_STEP(function, a, b, c, d, word, bits, constant)               \
  a = Ops::add(message.template add<word>(Ops::template add_constant<constant>(a)), \
               Ops::function(b, c, d));                                             \
  a = Ops::add(Ops::template rotate<bits>(a), b)
  MILLRACE_MD5_STEP(f, a, b, c, d, 0, 7, 0xd76aa478u);
  MILLRACE_MD5_STEP(f, d, a, b, c, 1, 12, 0xe8c7b756u);
  MILLRACE_MD5_STEP(f, c, d, a, b, 2, 17, 0x242070dbu);
  MILLRACE_MD5_STEP(f, b, c, d, a, 3, 22, 0xc1bdceeeu);
  MILLRACE_MD5_STEP(f, a, b, c, d, 4, 7, 0xf57c0fafu);
  MILLRACE_MD5_STEP(f, d, a, b, c, 5, 12, 0x4787c62au);
  MILLRACE_MD5_STEP(f, c, d, a, b, 6, 17, 0xa8304613u);
  MILLRACE_MD5_STEP(f, b, c, d, a, 7, 22, 0xfd469501u);
  MILLRACE_MD5_STEP(f, a, b, c, d, 8, 7, 0x698098d8u);
  MILLRACE_MD5_STEP(f, d, a, b, c, 9, 12, 0x8b44f7afu);
  MILLRACE_MD5_STEP(f, c, d, a, b, 10, 17, 0xffff5bb1u);
  MILLRACE_MD5_STEP(f, b, c, d, a, 11, 22, 0x895cd7beu);
  MILLRACE_MD5_STEP(f, a, b, c, d, 12, 7, 0x6b901122u);
  MILLRACE_MD5_STEP(f, d, a, b, c, 13, 12, 0xfd987193u);
  MILLRACE_MD5_STEP(f, c, d, a, b, 14, 17, 0xa679438eu);
  MILLRACE_MD5_STEP(f, b, c, d, a, 15, 22, 0x49b40821u);
  MILLRACE_MD5_STEP(g, a, b, c, d, 1, 5, 0xf61e2562u);
  MILLRACE_MD5_STEP(g, d, a, b, c, 6, 9, 0xc040b340u);
  MILLRACE_MD5_STEP(g, c, d, a, b, 11, 14, 0x265e5a51u);
  MILLRACE_MD5_STEP(g, b, c, d, a, 0, 20, 0xe9b6c7aau);
  MILLRACE_MD5_STEP(g, a, b, c, d, 5, 5, 0xd62f105du);
  MILLRACE_MD5_STEP(g, d, a, b, c, 10, 9, 0x02441453u);
  MILLRACE_MD5_STEP(g, c, d, a, b, 15, 14, 0xd8a1e681u);
  MILLRACE_MD5_STEP(g, b, c, d, a, 4, 20, 0xe7d3fbc8u);
  MILLRACE_MD5_STEP(g, a, b, c, d, 9, 5, 0x21e1cde6u);
  MILLRACE_MD5_STEP(g, d, a, b, c, 14, 9, 0xc33707d6u);
  MILLRACE_MD5_STEP(g, c, d, a, b, 3, 14, 0xf4d50d87u);
  MILLRACE_MD5_STEP(g, b, c, d, a, 8, 20, 0x455a14edu);
  MILLRACE_MD5_STEP(g, a, b, c, d, 13, 5, 0xa9e3e905u);
  MILLRACE_MD5_STEP(g, d, a, b, c, 2, 9, 0xfcefa3f8u);
  MILLRACE_MD5_STEP(g, c, d, a, b, 7, 14, 0x676f02d9u);
  MILLRACE_MD5_STEP(g, b, c, d, a, 12, 20, 0x8d2a4c8au);
  MILLRACE_MD5_STEP(h, a, b, c, d, 5, 4, 0xfffa3942u);
  MILLRACE_MD5_STEP(h, d, a, b, c, 8, 11, 0x8771f681u);
  MILLRACE_MD5_STEP(h, c, d, a, b, 11, 16, 0x6d9d6122u);
  MILLRACE_MD5_STEP(h, b, c, d, a, 14, 23, 0xfde5380cu);
  MILLRACE_MD5_STEP(h, a, b, c, d, 1, 4, 0xa4beea44u);
  MILLRACE_MD5_STEP(h, d, a, b, c, 4, 11, 0x4bdecfa9u);
  MILLRACE_MD5_STEP(h, c, d, a, b, 7, 16, 0xf6bb4b60u);
  MILLRACE_MD5_STEP(h, b, c, d, a, 10, 23, 0xbebfbc70u);
  MILLRACE_MD5_STEP(h, a, b, c, d, 13, 4, 0x289b7ec6u);
  MILLRACE_MD5_STEP(h, d, a, b, c, 0, 11, 0xeaa127fau);
  MILLRACE_MD5_STEP(h, c, d, a, b, 3, 16, 0xd4ef3085u);
  MILLRACE_MD5_STEP(h, b, c, d, a, 6, 23, 0x04881d05u);
  MILLRACE_MD5_STEP(h, a, b, c, d, 9, 4, 0xd9d4d039u);
  MILLRACE_MD5_STEP(h, d, a, b, c, 12, 11, 0xe6db99e5u);
  MILLRACE_MD5_STEP(h, c, d, a, b, 15, 16, 0x1fa27cf8u);
  MILLRACE_MD5_STEP(h, b, c, d, a, 2, 23, 0xc4ac5665u);
  MILLRACE_MD5_STEP(i, a, b, c, d, 0, 6, 0xf4292244u);
  MILLRACE_MD5_STEP(i, d, a, b, c, 7, 10, 0x432aff97u);
  MILLRACE_MD5_STEP(i, c, d, a, b, 14, 15, 0xab9423a7u);
  MILLRACE_MD5_STEP(i, b, c, d, a, 5, 21, 0xfc93a039u);
  MILLRACE_MD5_STEP(i, a, b, c, d, 12, 6, 0x655b59c3u);
  MILLRACE_MD5_STEP(i, d, a, b, c, 3, 10, 0x8f0ccc92u);
  MILLRACE_MD5_STEP(i, c, d, a, b, 10, 15, 0xffeff47du);
  MILLRACE_MD5_STEP(i, b, c, d, a, 1, 21, 0x85845dd1u);
  MILLRACE_MD5_STEP(i, a, b, c, d, 8, 6, 0x6fa87e4fu);
  MILLRACE_MD5_STEP(i, d, a, b, c, 15, 10, 0xfe2ce6e0u);
  MILLRACE_MD5_STEP(i, c, d, a, b, 6, 15, 0xa3014314u);
  MILLRACE_MD5_STEP(i, b, c, d, a, 13, 21, 0x4e0811a1u);
  MILLRACE_MD5_STEP(i, a, b, c, d, 4, 6, 0xf7537e82u);
  MILLRACE_MD5_STEP(i, d, a, b, c, 11, 10, 0xbd3af235u);
  MILLRACE_MD5_STEP(i, c, d, a, b, 2, 15, 0x2ad7d2bbu);
  MILLRACE_MD5_STEP(i, b, c, d, a, 9, 21, 0xeb86d391u);
#undef MILLRACE_MD5_STEP
  state.a = Ops::add(state.a, a);
  state.b = Ops::add(state.b, b);
  state.c = Ops::add(state.c, c);
  state.d = Ops::add(state.d, d);
}

/// Arithmetic of one 32-bit number.
struct md5_scalar_ops {
  using word = std::uint32_t;
  static MILLRACE_HOST_DEVICE word add(word x, word y) { return x + y; }
  template <std::uint32_t K>
  static MILLRACE_HOST_DEVICE word add_constant(word x) {
    return x + K;
  }
  template <int Bits>
  static MILLRACE_HOST_DEVICE word rotate(word x) {
    return x << Bits | x >> (32 - Bits);
  }
  static MILLRACE_HOST_DEVICE word f(word x, word y, word z) { return z ^ (x & (y ^ z)); }
  static MILLRACE_HOST_DEVICE word g(word x, word y, word z) { return y ^ (z & (x ^ y)); }
  static MILLRACE_HOST_DEVICE word h(word x, word y, word z) { return x ^ y ^ z; }
  static MILLRACE_HOST_DEVICE word i(word x, word y, word z) { return y ^ (x | ~z); }
};

/// A block whose 16 words are all given.
struct md5_scalar_message {
  std::uint32_t words[16];
  template <int I>
  MILLRACE_HOST_DEVICE std::uint32_t add(std::uint32_t x) const {
    return x + words[I];
  }
};

/// Word `at / 4` of the padded message but for its length: bytes of the message, then 0x80, then
/// zeros. Reads nothing outside the message.
MILLRACE_HOST_DEVICE inline std::uint32_t md5_message_word(const std::byte* bytes,
                                                           std::uint32_t count, std::uint32_t at) {
  if (at + 4 <= count) {
    std::uint32_t word;
    memcpy(&word, bytes + at, sizeof word);
    return word;
  }
  if (at > count) return 0;
  std::uint32_t word = 0x80u << (8 * (count - at));
  for (std::uint32_t k = at; k < count; ++k) {
    word |= static_cast<std::uint32_t>(bytes[k]) << (8 * (k - at));
  }
  return word;
}

MILLRACE_HOST_DEVICE inline constexpr std::uint32_t md5_swap_bytes(std::uint32_t x) {
  return x << 24 | (x << 8 & 0x00ff0000u) | (x >> 8 & 0x0000ff00u) | x >> 24;
}

/// The digest a, b, c, d (each little-endian) as a big-endian number.
MILLRACE_HOST_DEVICE inline uint128 md5_hash_key(const md5_state<std::uint32_t>& state) {
  const std::uint64_t high =
      static_cast<std::uint64_t>(md5_swap_bytes(state.a)) << 32 | md5_swap_bytes(state.b);
  const std::uint64_t low =
      static_cast<std::uint64_t>(md5_swap_bytes(state.c)) << 32 | md5_swap_bytes(state.d);
  return static_cast<uint128>(high) << 64 | low;
}

/// The hash key of a partition key of any length, at any address.
MILLRACE_HOST_DEVICE inline uint128 md5(const std::byte* bytes, std::uint32_t count) {
  md5_state<std::uint32_t> state{md5_start[0], md5_start[1], md5_start[2], md5_start[3]};
  const std::uint32_t blocks = md5_blocks(count);
  for (std::uint32_t block = 0; block < blocks; ++block) {
    md5_scalar_message message;
    for (std::uint32_t i = 0; i < 16; ++i) {
      message.words[i] = md5_message_word(bytes, count, block * md5_block_bytes + i * 4);
    }
    if (block + 1 == blocks) {
      message.words[14] = count << 3;
      message.words[15] = count >> 29;
    }
    md5_block<md5_scalar_ops>(state, message);
  }
  return md5_hash_key(state);
}

}  // namespace millrace
