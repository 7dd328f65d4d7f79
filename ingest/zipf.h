#pragma once
/// Seeded random numbers for generated records: a fast generator, and Zipf's distribution by
/// rejection-inversion (W. Hörmann, G. Derflinger: Rejection-inversion to generate variates from
/// monotone discrete distributions, ACM TOMACS 6(3), 1996), whose cost does not depend on the
/// number of keys.
#include <array>
#include <cstdint>

namespace millrace {

/// xoshiro256** (D. Blackman, S. Vigna). Not for secrets.
class fast_random {
 public:
  explicit fast_random(std::uint64_t seed);

  std::uint64_t next() {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }
  /// 0 to below - 1, evenly (to one part in 2^64).
  std::uint64_t below(std::uint64_t below) {
    __extension__ using wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<wide>(next()) * below) >> 64);
  }
  /// 0 to under 1.
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  static std::uint64_t rotate(std::uint64_t x, int k) { return x << k | x >> (64 - k); }
  std::array<std::uint64_t, 4> state_;
};

/// Ranks 0 to count - 1; rank r comes with a probability proportional to 1 / (r + 1)^exponent.
class zipf_ranks {
 public:
  /// `count` at least 1; `exponent` at least 0 (all alike).
  zipf_ranks(std::uint64_t count, double exponent);
  std::uint64_t next(fast_random& random) const;

 private:
  double integral(double x) const;
  double integral_inverse(double x) const;
  double weight(double x) const;

  std::uint64_t count_;
  double exponent_;
  double integral_first_ = 0;
  double integral_last_ = 0;
  double threshold_ = 0;
};

}  // namespace millrace
