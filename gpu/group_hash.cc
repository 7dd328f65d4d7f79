#include "gpu/group_hash.h"

#include <optional>
#include <random>

#include <sys/random.h>

#include "base/check.h"

namespace millrace {
namespace {

thread_local std::optional<std::mt19937_64> seeded;

}  // namespace

hash_secret draw_hash_secret() {
  hash_secret secret;
  if (seeded) {
    secret = {(*seeded)(), (*seeded)()};
  } else {
    const ssize_t read = ::getrandom(&secret, sizeof secret, 0);
    MILLRACE_CHECK(read == sizeof secret, "the system has randomness");
  }
  secret.multiplier |= 1;
  return secret;
}

void seed_hash_secrets(std::uint64_t seed) {
  seeded.emplace(seed);
}

}  // namespace millrace
