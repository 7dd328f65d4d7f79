#include "api/wire_writer.h"

#include <fmt/format.h>

#include "api/json_text.h"

namespace millrace {
namespace {

enum major : std::uint8_t {
  unsigned_integer = 0,
  negative = 1,
  bytes = 2,
  characters = 3,
  tag = 6
};

constexpr char open_list = static_cast<char>(0x9f);
constexpr char open_map = static_cast<char>(0xbf);
constexpr char close = static_cast<char>(0xff);

}  // namespace

/// A comma, in JSON, unless the value is the first of its list or belongs to a name.
void wire_writer::separate() {
  if (encoding_ != wire_encoding::json || out_.empty()) return;
  const char last = out_.back();
  if (last != '{' && last != '[' && last != ':') out_ += ',';
}

void wire_writer::head(std::uint8_t major, std::uint64_t value) {
  const auto first = static_cast<std::uint8_t>(major << 5);
  int width = 0;
  if (value < 24) {
    out_ += static_cast<char>(first | value);
  } else if (value <= 0xff) {
    out_ += static_cast<char>(first | 24);
    width = 1;
  } else if (value <= 0xffff) {
    out_ += static_cast<char>(first | 25);
    width = 2;
  } else if (value <= 0xffff'ffff) {
    out_ += static_cast<char>(first | 26);
    width = 4;
  } else {
    out_ += static_cast<char>(first | 27);
    width = 8;
  }
  while (width-- > 0)
    out_ += static_cast<char>(value >> (8 * width));
}

void wire_writer::begin_map() {
  separate();
  out_ += encoding_ == wire_encoding::json ? '{' : open_map;
}

void wire_writer::begun_map(std::string_view beginning) {
  separate();
  out_ += beginning;
}

void wire_writer::end_map() {
  out_ += encoding_ == wire_encoding::json ? '}' : close;
}

void wire_writer::begin_list() {
  separate();
  out_ += encoding_ == wire_encoding::json ? '[' : open_list;
}

void wire_writer::end_list() {
  out_ += encoding_ == wire_encoding::json ? ']' : close;
}

void wire_writer::name(std::string_view name) {
  plain(name);
  if (encoding_ == wire_encoding::json) out_ += ':';
}

void wire_writer::text(std::string_view value) {
  if (encoding_ == wire_encoding::json) {
    separate();
    return append_json_string(out_, value);
  }
  plain(value);
}

void wire_writer::plain(std::string_view value) {
  if (encoding_ == wire_encoding::json) {
    separate();
    out_ += '"';
    out_ += value;
    out_ += '"';
  } else {
    head(characters, value.size());
    out_ += value;
  }
}

void wire_writer::integer(std::int64_t value) {
  if (encoding_ == wire_encoding::json) {
    separate();
    fmt::format_to(std::back_inserter(out_), "{}", value);
  } else if (value >= 0) {
    head(unsigned_integer, static_cast<std::uint64_t>(value));
  } else {
    head(negative, ~static_cast<std::uint64_t>(value));
  }
}

void wire_writer::boolean(bool value) {
  if (encoding_ == wire_encoding::json) {
    separate();
    out_ += value ? "true" : "false";
  } else {
    out_ += static_cast<char>(value ? 0xf5 : 0xf4);
  }
}

void wire_writer::blob(byte_view value) {
  if (encoding_ == wire_encoding::json) {
    separate();
    out_ += '"';
    append_base64(out_, value);
    out_ += '"';
  } else {
    head(bytes, value.size());
    out_.append(reinterpret_cast<const char*>(value.data()), value.size());
  }
}

void wire_writer::time(std::uint64_t us) {
  const std::uint64_t ms = us / 1000;
  if (encoding_ == wire_encoding::json) {
    separate();
    fmt::format_to(std::back_inserter(out_), "{}.{:03}", ms / 1000, ms % 1000);
  } else {
    // As the Java SDK writes them: tag 1 and eight bytes.
    head(tag, 1);
    out_ += static_cast<char>(0x1b);
    for (int shift = 56; shift >= 0; shift -= 8)
      out_ += static_cast<char>(ms >> shift);
  }
}

}  // namespace millrace
