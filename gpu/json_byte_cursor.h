#pragma once
/// A Cursor of json_scan.h that needs no vector instructions.
#include "gpu/scan_bits.h"

namespace millrace {

/// Finds structural characters byte by byte: the reference, and what a GPU's thread runs.
class json_byte_cursor {
 public:
  MILLRACE_HOST_DEVICE explicit json_byte_cursor(byte_range document) : document_(document) {}

  MILLRACE_HOST_DEVICE std::uint32_t next() {
    while (at_ < document_.count) {
      const unsigned char c = document_[at_++];
      if (c == '"') {
        skip_string();
      } else if (c == '\\') {
        skip_escape();
      } else if ((c | 0x20) == '{' || (c | 0x20) == '}' || c == ':' || c == ',') {
        return at_ - 1;
      }
    }
    return document_.count;
  }

  MILLRACE_HOST_DEVICE std::uint32_t skip(std::uint32_t depth) {
    for (;;) {
      const std::uint32_t at = next();
      if (at == document_.count) return at;
      const unsigned char c = document_[at] | 0x20;
      if (c == '{') ++depth;
      if (c == '}' && --depth == 0) return at;
    }
  }

  MILLRACE_HOST_DEVICE void took(std::uint32_t) {}

  MILLRACE_HOST_DEVICE bool maybe_escaped(std::uint32_t at) const { return escapes_end_ > at; }

 private:
  /// From behind the quote that opens it to behind the one that closes it.
  MILLRACE_HOST_DEVICE void skip_string() {
    for (;;) {
      at_ = find_either(document_, at_, '"', '\\');
      if (at_ == document_.count) return;
      if (document_[at_++] == '"') return;
      skip_escape();
    }
  }
  /// A backslash makes a quote or a backslash after it an ordinary character, wherever it is.
  MILLRACE_HOST_DEVICE void skip_escape() {
    escapes_end_ = at_;
    if (at_ < document_.count && (document_[at_] == '"' || document_[at_] == '\\')) ++at_;
  }

  byte_range document_;
  std::uint32_t at_ = 0;
  std::uint32_t escapes_end_ = 0;  ///< behind the last backslash
};

}  // namespace millrace
