#pragma once
/// A group's key, in group_key.h's encoding, as 64-bit words filled with zeros, one after another
/// and never in memory: a device hashes, compares and writes keys without a place for each.
#include <cstdint>

#include "gpu/group_hash.h"
#include "gpu/group_key.h"

namespace millrace {

/// visit(index, word) for each whole word, and for the last one at finish().
template <class Visit>
class word_packer {
 public:
  MILLRACE_HOST_DEVICE explicit word_packer(Visit& visit) : visit_(visit) {}

  MILLRACE_HOST_DEVICE void put_byte(std::uint32_t byte) {
    word_ |= std::uint64_t{byte} << (8 * (bytes_ & 7));
    if ((++bytes_ & 7) == 0) flush();
  }
  MILLRACE_HOST_DEVICE void put_word(std::uint64_t word) {
    const std::uint32_t shift = 8 * (bytes_ & 7);
    visit_(bytes_ / 8, word_ | word << shift);
    word_ = shift == 0 ? 0 : word >> (64 - shift);
    bytes_ += 8;
  }
  MILLRACE_HOST_DEVICE std::uint32_t finish() {
    if ((bytes_ & 7) != 0) visit_(bytes_ / 8, word_);
    return bytes_;
  }
  MILLRACE_HOST_DEVICE std::uint32_t bytes() const { return bytes_; }

 private:
  MILLRACE_HOST_DEVICE void flush() {
    visit_(bytes_ / 8 - 1, word_);
    word_ = 0;
  }
  Visit& visit_;
  std::uint64_t word_ = 0;
  std::uint32_t bytes_ = 0;
};

/// A group's place in a device's tables: of the key's words, each put into `key_state` by
/// group_hash_step() after the secret's start, and of its pane.
MILLRACE_HOST_DEVICE inline std::uint64_t pane_group_hash(std::uint64_t key_state,
                                                          std::int64_t pane_us,
                                                          const hash_secret& secret) {
  return group_hash_finish(group_hash_step(key_state, static_cast<std::uint64_t>(pane_us), secret),
                           secret);
}

inline constexpr std::uint32_t key_too_long = ~0u;

/// The words of the key whose fields are field(column). Returns its bytes, or key_too_long: over
/// limits::group_key_bytes_max.
template <class Field, class Visit>
MILLRACE_HOST_DEVICE inline std::uint32_t visit_key_words(const key_field* fields,
                                                          std::uint32_t count, Field field,
                                                          Visit visit) {
  word_packer<Visit> packer(visit);
  for (std::uint32_t f = 0; f < count; ++f) {
    const field_value& value = field(fields[f].column);
    const field_type type = fields[f].type;
    packer.put_byte(value.is_null() ? 0 : 1);
    if (type == field_type::boolean) {
      packer.put_byte(!value.is_null() && value.bits != 0 ? 1 : 0);
    } else if (type != field_type::string) {
      packer.put_word(value.is_null() ? 0 : swap_bytes(to_ordered(type, value.bits)));
    } else if (!value.is_null()) {
      text_reader text(value);
      for (int byte = text.next(); byte != text_reader::at_end; byte = text.next()) {
        packer.put_byte(static_cast<std::uint32_t>(byte));
        if (byte == 0) packer.put_byte(0xff);
        if (packer.bytes() > limits::group_key_bytes_max) return key_too_long;
      }
      packer.put_byte(0);
    }
  }
  return packer.bytes() > limits::group_key_bytes_max ? key_too_long : packer.finish();
}

}  // namespace millrace
