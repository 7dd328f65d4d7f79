#pragma once
/// One extracted field, on either side. Text is not copied: it lies in its record.
#include <cstdint>

#include "gpu/host_device.h"

namespace millrace {

enum class value_state : std::uint8_t {
  missing,     ///< null: the record has no such field, or an explicit null
  wrong_type,  ///< null: it is there, and cannot be read as the field's type; counted
  value,
};

enum class text_form : std::uint8_t {
  plain,         ///< the bytes are the text
  json_escaped,  ///< valid JSON escapes stand for characters; see text_reader.h
  csv_quoted,    ///< a doubled quote stands for one
  log_escaped,   ///< a backslash before a quote or a backslash stands for that one alone
};

struct field_value {
  std::uint64_t bits = 0;  ///< int64, double, µs, 0 or 1; text: the address of its first byte
  std::uint32_t text_bytes = 0;  ///< text: raw bytes
  value_state state = value_state::missing;
  text_form form = text_form::plain;
  std::uint16_t reserved = 0;

  MILLRACE_HOST_DEVICE bool is_null() const { return state != value_state::value; }
};
static_assert(sizeof(field_value) == 16);

}  // namespace millrace
