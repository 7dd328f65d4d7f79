#pragma once
/// Where the structural characters of a JSON document are, found with vector instructions, a window
/// of the document at a time. What is structural: see json_scan.h; json_byte_cursor is the
/// reference.
#include <array>
#include <span>

#include "gpu/scan_bits.h"
#include "gpu/simd_level.h"

namespace millrace {

/// Small enough that what is wanted early in a long document costs little, large enough that most
/// documents have one.
inline constexpr std::uint32_t json_window_bytes = 512;

/// Between two windows of one document.
struct json_index_state {
  std::uint32_t at = 0;           ///< where the next window starts: a multiple of 64
  std::uint32_t escapes_end = 0;  ///< no backslash has been seen from here on
  std::uint64_t in_string = 0;    ///< all ones inside a string
  std::uint64_t escaped = 0;      ///< 1: a backslash makes the next character ordinary
};

/// Room for the positions in a window; those who fill it write whole vectors.
inline constexpr std::uint32_t json_positions_max = json_window_bytes + 16;

/// Appends the positions in the next window to `out` and returns how many. Only the document's
/// bytes are read.
using json_index_function = std::uint32_t (*)(const std::byte* document, std::uint32_t count,
                                              json_index_state& state, std::uint32_t* out);

/// Null where the level has none.
json_index_function json_index_for(simd_level level);

namespace json_detail {
std::uint32_t index_avx2(const std::byte* document, std::uint32_t count, json_index_state& state,
                         std::uint32_t* out);
std::uint32_t index_avx512(const std::byte* document, std::uint32_t count, json_index_state& state,
                           std::uint32_t* out);
}  // namespace json_detail

/// A Cursor of json_scan.h.
class json_index_cursor {
 public:
  json_index_cursor(byte_range document, json_index_function index)
      : document_(document), index_(index) {}

  /// The first window's positions are here from now on, before the first next().
  void start() {
    if (document_.count != 0)
      filled_ = index_(document_.bytes, document_.count, state_, positions_);
  }

  std::uint32_t next() {
    while (next_ == filled_) {
      if (state_.at >= document_.count) return document_.count;
      next_ = 0;
      is_one_window_ = filled_ == 0;
      filled_ = index_(document_.bytes, document_.count, state_, positions_);
    }
    return positions_[next_++];
  }

  std::uint32_t skip(std::uint32_t depth) {
    for (;;) {
      const std::uint32_t at = next();
      if (at == document_.count) return at;
      const unsigned char c = document_[at] | 0x20;
      depth += c == '{' ? 1 : 0;
      depth -= c == '}' ? 1 : 0;
      if (depth == 0) return at;
    }
  }

  void took(std::uint32_t node) {
    if (taken_count_ < taken_.size()) taken_[taken_count_++] = {node, next_ - 1};
  }

  // What json_shape.h looks at.
  struct taken_value {
    std::uint32_t node;
    std::uint32_t end;  ///< which of positions()
  };
  const std::uint32_t* positions() const { return positions_; }
  std::uint32_t filled() const { return filled_; }
  std::uint32_t passed() const { return next_; }
  bool is_one_window() const { return is_one_window_; }  ///< positions() are the document's first
  std::span<const taken_value> taken() const { return std::span(taken_).first(taken_count_); }

  bool maybe_escaped(std::uint32_t at) const { return state_.escapes_end > at; }

 private:
  byte_range document_;
  json_index_function index_;
  json_index_state state_;
  std::uint32_t next_ = 0;
  std::uint32_t filled_ = 0;
  bool is_one_window_ = true;
  std::uint32_t taken_count_ = 0;
  std::array<taken_value, 64> taken_;  // limits::extract_fields_max
  std::uint32_t positions_[json_positions_max];
};

}  // namespace millrace
