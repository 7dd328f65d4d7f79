#pragma once
/// Arithmetic of CRC32C values (base/crc32c.h) of pieces, so that pieces can be summed up in any
/// order: the CRC32C of A followed by B is that of A, shifted by B's length, XOR that of B. Values
/// are polynomials over GF(2) modulo CRC32C's, bit 31 the coefficient of 1. The same as
/// crc32_combine() of zlib, by M. Adler, for another polynomial.
#include <cstdint>

#include "gpu/host_device.h"

namespace millrace {

/// Reflected: what x^32 is.
inline constexpr std::uint32_t crc32c_polynomial = 0x82f63b78u;

MILLRACE_HOST_DEVICE inline constexpr std::uint32_t crc32c_multiply(std::uint32_t a,
                                                                    std::uint32_t b) {
  std::uint32_t product = 0;
  for (; a != 0; a <<= 1) {
    if ((a >> 31) != 0) product ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? crc32c_polynomial : 0);
  }
  return product;
}

/// of[k]: what a shift by 2^k words of eight bytes multiplies by.
struct crc32c_powers {
  static constexpr std::uint32_t count = 32;
  std::uint32_t of[count];

  static constexpr crc32c_powers make() {
    crc32c_powers made{};
    std::uint32_t power = 0x40000000u;  // x
    for (int i = 0; i < 6; ++i)
      power = crc32c_multiply(power, power);  // x^64
    for (std::uint32_t& one : made.of) {
      one = power;
      power = crc32c_multiply(power, power);
    }
    return made;
  }
};

/// The CRC32C, as if `words` times eight bytes followed, whose own is to be added by XOR.
MILLRACE_HOST_DEVICE inline std::uint32_t crc32c_shift(std::uint32_t crc, std::uint32_t words,
                                                       const crc32c_powers& powers) {
  for (std::uint32_t k = 0; words != 0; ++k, words >>= 1) {
    if ((words & 1) != 0) crc = crc32c_multiply(powers.of[k], crc);
  }
  return crc;
}

}  // namespace millrace
