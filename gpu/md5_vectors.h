#pragma once
/// The multi-buffer MD5 over any vector type; included only by the files that are compiled for one
/// instruction set each. Everything here depends on their `Isa`, a type of an unnamed namespace, so
/// that no code compiled for more than the machine has can be shared with other files by the
/// linker; for the same reason those files call no inline functions of other headers.
///
/// `Isa` gives: `vector`, `mask` (what a comparison gives), `lanes`, arithmetic as in md5.h, and
///   load(keys, which, words): load_key(key, which) of each; words[i] gets word i of all keys
///   counts(keys), equal(x, y), less(x, y), select(where, x, y), shift_left<Bits>(x)
///   load_constant(x): all lanes x, read from memory, since the load ports have nothing else to do;
///     compilers like to move constants through registers, which takes the ports that we need
///   store(a, b, c, d, keys, out): the hash keys
#include "gpu/md5.h"
#include "gpu/md5_key_load.h"
#include "gpu/md5_lanes.h"

namespace millrace::md5_detail {

#define MILLRACE_INLINE inline __attribute__((always_inline))

template <std::uint32_t K>
inline constexpr std::uint32_t in_memory = K;

/// `N` vectors whose steps are interleaved: one MD5 is a chain of dependent operations.
template <class Isa, int N>
struct vectors {
  typename Isa::vector v[N];
};

template <class Isa, int N>
struct vectors_ops {
  using word = vectors<Isa, N>;
#define MILLRACE_EACH(expression)                                               \
  word result;                                                                  \
  _Pragma("GCC unroll 4") for (int n = 0; n < N; ++n) result.v[n] = expression; \
  return result
  static MILLRACE_INLINE word add(const word& x, const word& y) {
    MILLRACE_EACH(Isa::add(x.v[n], y.v[n]));
  }
  template <std::uint32_t K>
  static MILLRACE_INLINE word add_constant(const word& x) {
    const auto constant = Isa::load_constant(in_memory<K>);
    MILLRACE_EACH(Isa::add(x.v[n], constant));
  }
  template <int Bits>
  static MILLRACE_INLINE word rotate(const word& x) {
    MILLRACE_EACH(Isa::template rotate<Bits>(x.v[n]));
  }
  static MILLRACE_INLINE word f(const word& x, const word& y, const word& z) {
    MILLRACE_EACH(Isa::f(x.v[n], y.v[n], z.v[n]));
  }
  static MILLRACE_INLINE word g(const word& x, const word& y, const word& z) {
    MILLRACE_EACH(Isa::g(x.v[n], y.v[n], z.v[n]));
  }
  static MILLRACE_INLINE word h(const word& x, const word& y, const word& z) {
    MILLRACE_EACH(Isa::h(x.v[n], y.v[n], z.v[n]));
  }
  static MILLRACE_INLINE word i(const word& x, const word& y, const word& z) {
    MILLRACE_EACH(Isa::i(x.v[n], y.v[n], z.v[n]));
  }
#undef MILLRACE_EACH
};

/// A block of each lane's message; words whose bit is set in `Zeros` are not looked at.
template <class Isa, int N, std::uint32_t Zeros>
struct vectors_message {
  vectors<Isa, N> words[16];
  template <int I>
  MILLRACE_INLINE vectors<Isa, N> add(const vectors<Isa, N>& x) const {
    if constexpr ((Zeros >> I & 1) != 0) {
      return x;
    } else {
      return vectors_ops<Isa, N>::add(x, words[I]);
    }
  }
};

template <class Isa, int N>
struct md5_group {
  using vector = typename Isa::vector;
  using state = md5_state<vectors<Isa, N>>;
  static constexpr int keys_max = Isa::lanes * N;

  static MILLRACE_INLINE state start() {
    state s;
    for (int n = 0; n < N; ++n) {
      s.a.v[n] = Isa::broadcast(md5_start[0]);
      s.b.v[n] = Isa::broadcast(md5_start[1]);
      s.c.v[n] = Isa::broadcast(md5_start[2]);
      s.d.v[n] = Isa::broadcast(md5_start[3]);
    }
    return s;
  }

  static MILLRACE_INLINE void store(const state& s, const md5_key* keys, uint128* out) {
    for (int n = 0; n < N; ++n) {
      Isa::store(s.a.v[n], s.b.v[n], s.c.v[n], s.d.v[n], keys + n * Isa::lanes, out);
    }
  }

  /// Keys of up to 32 bytes: words 9 to 13 and 15 are zero, and word 8 holds at most the 0x80.
  static void hash_short(const md5_key* keys, uint128* out) {
    vectors_message<Isa, N, 0xbe00> message;
    for (int n = 0; n < N; ++n) {
      const md5_key* const some = keys + n * Isa::lanes;
      vector words[8];
      Isa::load(some, whole_key{}, words);
      for (int i = 0; i < 8; ++i)
        message.words[i].v[n] = words[i];
      const vector counts = Isa::counts(some);
      message.words[8].v[n] = Isa::select(Isa::equal(counts, Isa::broadcast(32)),
                                          Isa::broadcast(0x80), Isa::broadcast(0));
      message.words[14].v[n] = Isa::template shift_left<3>(counts);
    }
    state s = start();
    md5_block<vectors_ops<Isa, N>>(s, message);
    store(s, keys, out);
  }

  /// Keys of any length: the lanes of shorter ones idle once theirs are done.
  static void hash_long(const md5_key* keys, uint128* out) {
    std::uint32_t longest = 0;
    for (int k = 0; k < keys_max; ++k) {
      longest = longest < keys[k].count ? keys[k].count : longest;
    }
    const std::uint32_t blocks = (longest + 8) / md5_block_bytes + 1;
    state s = start();
    for (std::uint32_t block = 0; block < blocks; ++block) {
      const std::uint32_t offset = block * md5_block_bytes;
      vectors_message<Isa, N, 0> message;
      typename Isa::mask running[N];
      for (int n = 0; n < N; ++n) {
        const md5_key* const some = keys + n * Isa::lanes;
        vector words[16];
        Isa::load(some, key_from{offset}, words);
        Isa::load(some, key_from{offset + 32}, words + 8);
        for (int i = 0; i < 16; ++i)
          message.words[i].v[n] = words[i];
        // The last block of a key has less than 56 bytes of it: the length goes where zeros are.
        const vector counts = Isa::counts(some);
        const vector with_padding = Isa::add(counts, Isa::broadcast(8));
        running[n] = Isa::less(Isa::broadcast(offset), Isa::add(with_padding, Isa::broadcast(1)));
        const auto goes_on = Isa::less(Isa::broadcast(offset + md5_block_bytes - 1), with_padding);
        message.words[14].v[n] =
            Isa::select(goes_on, words[14], Isa::template shift_left<3>(counts));
      }
      const state before = s;
      md5_block<vectors_ops<Isa, N>>(s, message);
      for (int n = 0; n < N; ++n) {
        s.a.v[n] = Isa::select(running[n], s.a.v[n], before.a.v[n]);
        s.b.v[n] = Isa::select(running[n], s.b.v[n], before.b.v[n]);
        s.c.v[n] = Isa::select(running[n], s.c.v[n], before.c.v[n]);
        s.d.v[n] = Isa::select(running[n], s.d.v[n], before.d.v[n]);
      }
    }
    store(s, keys, out);
  }

  /// Exactly `keys_max` keys; the last one is short only if all are.
  static MILLRACE_INLINE void hash(const md5_key* keys, uint128* out) {
    if (keys[keys_max - 1].count <= short_key_bytes_max) {
      hash_short(keys, out);
    } else {
      hash_long(keys, out);
    }
  }

  /// Fewer: the last key is hashed again in the lanes that are left.
  static void hash_some(const md5_key* keys, std::size_t count, uint128* out) {
    md5_key filled[keys_max];
    for (std::size_t k = 0; k < keys_max; ++k)
      filled[k] = keys[k < count ? k : count - 1];
    hash(filled, out);
  }
};

/// All keys, in groups of N vectors, and of one where no more are left.
template <class Isa, int N>
void hash_keys(const md5_key* keys, std::size_t count, uint128* out) {
  using many = md5_group<Isa, N>;
  using few = md5_group<Isa, 1>;
  for (; count >= many::keys_max; keys += many::keys_max, count -= many::keys_max) {
    many::hash(keys, out);
  }
  if (count > few::keys_max) {
    many::hash_some(keys, count, out);
  } else if (count > 0) {
    few::hash_some(keys, count, out);
  }
}

}  // namespace millrace::md5_detail
