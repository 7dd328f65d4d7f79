#include "gpu/extract.h"

#include <algorithm>
#include <array>

#include "gpu/extract_compile.h"
#include "gpu/extract_record.h"
#include "gpu/json_index.h"
#include "gpu/json_shape.h"

namespace millrace {
namespace {

/// Records at a time: their data's places, and a column of values, stay in the first-level cache.
constexpr std::size_t chunk_records = 256;

struct chunk {
  std::span<const record_input> records;
  std::array<record_parts, chunk_records> parts;
};

template <binary_kind Kind>
[[gnu::always_inline]] inline void read_numbers_as(const extract_field& field, const chunk& some,
                                                   field_value* out) {
  const std::uint32_t end = field.offset + binary_kind_bytes(Kind);
  for (std::size_t i = 0; i < some.records.size(); ++i) {
    const byte_range data = some.parts[i].data;
    out[i] = data.count < end ? make_null(value_state::missing)
                              : read_binary_number<Kind>(field, data.bytes + field.offset);
  }
}

/// What is the same for all records and decides most is a constant to the compiler where it is the
/// usual.
template <binary_kind Kind>
[[gnu::flatten, gnu::noinline]] void read_numbers(const extract_field& field, const chunk& some,
                                                  field_value* out) {
  extract_field own = field;  // nothing that is written can be it
  if (own.big_endian) return read_numbers_as<Kind>(own, some, out);
  own.big_endian = false;
  if (own.type == field_type::int64) {
    own.type = field_type::int64;
    return read_numbers_as<Kind>(own, some, out);
  }
  if (own.type == field_type::timestamp && own.format == time_format::microseconds) {
    own.type = field_type::timestamp;
    own.format = time_format::microseconds;
    return read_numbers_as<Kind>(own, some, out);
  }
  read_numbers_as<Kind>(own, some, out);
}

void read_texts(const extract_tables& tables, const extract_field& field, const chunk& some,
                field_value* out) {
  for (std::size_t i = 0; i < some.records.size(); ++i)
    out[i] = read_binary(tables, field, some.parts[i].data);
}

void read_binary_column(const extract_tables& tables, const extract_field& field, const chunk& some,
                        field_value* out) {
  switch (field.binary) {
    case binary_kind::i8:
      return read_numbers<binary_kind::i8>(field, some, out);
    case binary_kind::i16:
      return read_numbers<binary_kind::i16>(field, some, out);
    case binary_kind::i32:
      return read_numbers<binary_kind::i32>(field, some, out);
    case binary_kind::i64:
      return read_numbers<binary_kind::i64>(field, some, out);
    case binary_kind::u8:
      return read_numbers<binary_kind::u8>(field, some, out);
    case binary_kind::u16:
      return read_numbers<binary_kind::u16>(field, some, out);
    case binary_kind::u32:
      return read_numbers<binary_kind::u32>(field, some, out);
    case binary_kind::u64:
      return read_numbers<binary_kind::u64>(field, some, out);
    case binary_kind::f32:
      return read_numbers<binary_kind::f32>(field, some, out);
    case binary_kind::f64:
      return read_numbers<binary_kind::f64>(field, some, out);
    case binary_kind::text:
      return read_texts(tables, field, some, out);
  }
}

void read_builtin_column(builtin_field which, const chunk& some, field_value* out) {
  for (std::size_t i = 0; i < some.records.size(); ++i)
    out[i] = read_builtin(which, some.records[i], some.parts[i]);
}

/// What lies at fixed places, a field at a time; all others are missing for now.
void read_columns(const extract_tables& tables, const chunk& some, field_value* out,
                  std::size_t stride) {
  for (std::uint32_t f = 0; f < tables.header().field_count; ++f) {
    const extract_field& field = tables.field(f);
    field_value* const column = out + f * stride;
    if (field.origin == field_origin::binary) {
      read_binary_column(tables, field, some, column);
    } else if (field.origin == field_origin::builtin) {
      read_builtin_column(field.builtin, some, column);
    } else {
      std::fill_n(column, some.records.size(), make_null(value_state::missing));
    }
  }
}

/// What has to be looked for, a record at a time.
void scan_records(const extract_tables& tables, json_index_function index, const chunk& some,
                  field_value* out, std::size_t stride) {
  const record_layout layout = tables.header().layout;
  json_shape shape(tables);
  for (std::size_t i = 0; i < some.records.size(); ++i) {
    const byte_range data = some.parts[i].data;
    const field_column fields{out + i, stride};
    if (layout == record_layout::json && index != nullptr) {
      json_index_cursor cursor(data, index);
      cursor.start();
      if (shape.extract(cursor, data, fields)) continue;
      json_scanner<json_index_cursor>(tables, data, cursor, fields).scan();
      shape.learn(cursor, data);
    } else {
      scan_data(tables, data, fields);
    }
  }
}

}  // namespace

result<extractor> extractor::compile(record_layout layout, char csv_delimiter,
                                     std::span<const field_plan> fields) {
  MILLRACE_ASSIGN(const simd_level level, choose_simd());
  return compile(layout, csv_delimiter, fields, level);
}

result<extractor> extractor::compile(record_layout layout, char csv_delimiter,
                                     std::span<const field_plan> fields, simd_level level) {
  extractor made;
  made.level_ = level;
  MILLRACE_ASSIGN(made.tables_, compile_extract_tables(layout, csv_delimiter, fields));
  return made;
}

std::uint32_t extractor::field_count() const {
  return extract_tables(program()).header().field_count;
}

extract_program extractor::program() const {
  return {tables_.data()};
}

std::span<const std::byte> extractor::tables() const {
  return tables_;
}

void extractor::extract(std::span<const record_input> records, field_value* out,
                        std::size_t stride) const {
  const extract_tables tables(program());
  const json_index_function index = json_index_for(level_);
  chunk some;
  for (std::size_t from = 0; from < records.size(); from += chunk_records) {
    some.records = records.subspan(from, std::min(chunk_records, records.size() - from));
    for (std::size_t i = 0; i < some.records.size(); ++i)
      some.parts[i] = parts_of(some.records[i]);
    read_columns(tables, some, out + from, stride);
    if (tables.header().scanned != 0) scan_records(tables, index, some, out + from, stride);
  }
}

}  // namespace millrace
