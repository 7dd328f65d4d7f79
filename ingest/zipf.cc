#include "ingest/zipf.h"

#include <algorithm>
#include <cmath>

namespace millrace {
namespace {

/// log1p(x) / x and expm1(x) / x, good at 0 too.
double log1p_over(double x) {
  return std::abs(x) > 1e-8 ? std::log1p(x) / x : 1 - x / 2 + x * x / 3;
}
double expm1_over(double x) {
  return std::abs(x) > 1e-8 ? std::expm1(x) / x : 1 + x / 2 + x * x / 6;
}

}  // namespace

fast_random::fast_random(std::uint64_t seed) {
  // splitmix64, as the authors recommend for the first state.
  for (std::uint64_t& word : state_) {
    seed += 0x9e37'79b9'7f4a'7c15u;
    std::uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9u;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11ebu;
    word = z ^ (z >> 31);
  }
}

zipf_ranks::zipf_ranks(std::uint64_t count, double exponent) : count_(count), exponent_(exponent) {
  integral_first_ = integral(1.5) - 1;
  integral_last_ = integral(static_cast<double>(count) + 0.5);
  threshold_ = 2 - integral_inverse(integral(2.5) - weight(2));
}

/// The integral of x^-exponent, written so that exponent 1 is no special case.
double zipf_ranks::integral(double x) const {
  const double log_x = std::log(x);
  return expm1_over((1 - exponent_) * log_x) * log_x;
}

double zipf_ranks::integral_inverse(double x) const {
  const double t = std::max(x * (1 - exponent_), -1.0);
  return std::exp(log1p_over(t) * x);
}

double zipf_ranks::weight(double x) const {
  return std::exp(-exponent_ * std::log(x));
}

std::uint64_t zipf_ranks::next(fast_random& random) const {
  if (exponent_ == 0) return random.below(count_);
  for (;;) {
    const double u = integral_last_ + random.unit() * (integral_first_ - integral_last_);
    const double x = integral_inverse(u);
    const double k = std::clamp(std::floor(x + 0.5), 1.0, static_cast<double>(count_));
    if (k - x <= threshold_ || u >= integral(k + 0.5) - weight(k)) {
      return static_cast<std::uint64_t>(k) - 1;
    }
  }
}

}  // namespace millrace
