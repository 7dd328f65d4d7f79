#pragma once
/// Records in memory, and what a plan finds in them.
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/record_format.h"
#include "gpu/extract.h"
#include "gpu/extract_record.h"

namespace millrace::test {

/// Owns records; each is a heap block of its own, so that a sanitizer sees a byte read outside.
class record_set {
 public:
  void add(std::string_view data, std::string_view key = "k") {
    const byte_view bytes(reinterpret_cast<const std::byte*>(data.data()), data.size());
    // Without the padding: nothing after the data may be read either.
    const std::size_t record_bytes = sizeof(record_header) + key.size() + data.size();
    std::vector<std::byte> padded(record_stride(key.size(), data.size(), false));
    write_record(padded.data(), key, bytes, nullptr);
    auto& kept = bytes_.emplace_back(new std::byte[record_bytes]);
    std::memcpy(kept.get(), padded.data(), record_bytes);
    records_.push_back({.bytes = kept.get(),
                        .arrival_us = 1'700'000'000'000'000 + records_.size(),
                        .number = 1000 + records_.size(),
                        .shard = 3,
                        .stride = static_cast<std::uint32_t>(padded.size())});
  }
  std::span<const record_input> records() const { return records_; }

 private:
  std::deque<std::unique_ptr<std::byte[]>> bytes_;
  std::vector<record_input> records_;
};

inline std::string text_of(const field_value& value) {
  std::string text;
  text_reader reader(value);
  for (int c = reader.next(); c != text_reader::at_end; c = reader.next())
    text += static_cast<char>(c);
  return text;
}

/// "missing", "wrong_type", or the value as the field's type writes it; doubles as hexadecimal
/// floats, times as their microseconds.
inline std::string show(const field_value& value, field_type type) {
  if (value.state == value_state::missing) return "missing";
  if (value.state == value_state::wrong_type) return "wrong_type";
  switch (type) {
    case field_type::string:
      return "'" + text_of(value) + "'";
    case field_type::boolean:
      return value.bits != 0 ? "true" : "false";
    case field_type::float64: {
      double number;
      std::memcpy(&number, &value.bits, sizeof number);
      char text[64];
      std::snprintf(text, sizeof text, "%a", number);
      return text;
    }
    case field_type::int64:
    case field_type::timestamp:
      break;
  }
  return std::to_string(static_cast<std::int64_t>(value.bits));
}

inline field_plan json_field(std::string path, field_type type,
                             time_format format = time_format::seconds) {
  return {.name = path, .type = type, .source = json_source{path}, .format = format};
}
inline field_plan csv_field(std::uint32_t column, field_type type,
                            time_format format = time_format::seconds) {
  return {.name = "column", .type = type, .source = csv_source{column}, .format = format};
}
inline field_plan log_field(access_log_part part, field_type type) {
  return {.name = "part",
          .type = type,
          .source = access_log_source{part},
          .format = time_format::access_log};
}

inline extractor compiled(record_layout layout, const std::vector<field_plan>& fields,
                          char delimiter = ',') {
  auto made = extractor::compile(layout, delimiter, fields);
  if (!made.ok()) {
    ADD_FAILURE() << made.failure().message();
    return *extractor::compile(record_layout::none, ',', {});
  }
  return *std::move(made);
}

/// The fields of one record, shown, with a blank between them.
inline std::string extracted(record_layout layout, const std::vector<field_plan>& fields,
                             std::string_view data, char delimiter = ',') {
  const extractor plan = compiled(layout, fields, delimiter);
  record_set set;
  set.add(data);
  std::vector<field_value> values(fields.size());
  extract_record(plan.program(), set.records()[0], values.data(), 1);
  std::string all;
  for (std::size_t i = 0; i < fields.size(); ++i)
    all += (i > 0 ? " " : "") + show(values[i], fields[i].type);
  return all;
}

}  // namespace millrace::test
