#pragma once
namespace millrace {

/// How often a test of a single thread repeats what is random: a tenth of what is wanted in builds
/// of the thread sanitizer, which has nothing to find there and makes each round ten times as long.
constexpr int random_rounds(int wanted) {
#if defined(__SANITIZE_THREAD__)
  return (wanted + 9) / 10;
#else
  return wanted;
#endif
}

}  // namespace millrace
