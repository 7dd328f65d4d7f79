#pragma once
/// Records as people see them, for the oracles of tests, and their keys by group_key.h's
/// description.
#include <string>
#include <vector>

#include "base/endian.h"
#include "gpu/field_value.h"
#include "gpu/text_reader.h"
#include "gpu/view_plan.h"

namespace millrace::testing {

/// A value as people see it.
struct plain_value {
  bool is_null = true;
  std::int64_t integer = 0;  ///< int64, timestamp, bool
  double real = 0;           ///< float64
  std::string text;
};

struct plain_record {
  std::int64_t time_us = 0;
  std::uint32_t shard = 0;
  std::uint64_t number = 0;
  std::vector<plain_value> fields;
  std::string key;
};

inline std::string text_of(const field_value& value) {
  std::string text;
  text_reader reader(value);
  for (int c = reader.next(); c != text_reader::at_end; c = reader.next()) {
    text.push_back(static_cast<char>(c));
  }
  return text;
}

/// group_key.h's encoding, from its description.
inline std::string encode_key(const view_plan& plan, const plain_record& record) {
  std::string key;
  for (const std::uint16_t field : plan.group_by) {
    const plain_value& value = record.fields[field];
    const field_type type = plan.fields[field].type;
    if (type == field_type::string) {
      if (value.is_null) {
        key += '\0';
        continue;
      }
      key += '\1';
      for (const char c : value.text)
        key += c == 0 ? std::string("\0\xff", 2) : std::string(1, c);
      key += '\0';
    } else if (value.is_null) {
      key += std::string(type == field_type::boolean ? 2 : 9, '\0');
    } else if (type == field_type::boolean) {
      key += '\1';
      key += static_cast<char>(value.integer);
    } else {
      key += '\1';
      std::uint64_t bits = static_cast<std::uint64_t>(value.integer) + (1ull << 63);
      if (type == field_type::float64) {
        const double real = value.real == 0 ? 0 : value.real;
        const std::uint64_t raw = real != real ? 0x7ff8000000000000u : load<std::uint64_t>(&real);
        bits = (raw >> 63) != 0 ? ~raw : raw | 1ull << 63;
      }
      for (int shift = 56; shift >= 0; shift -= 8)
        key += static_cast<char>(bits >> shift);
    }
  }
  return key;
}

}  // namespace millrace::testing
