#pragma once
/// All fields of one record: what a GPU's thread runs, and the reference of extractor::extract().
#include "gpu/access_log_scan.h"
#include "gpu/binary_read.h"
#include "gpu/csv_scan.h"
#include "gpu/json_byte_cursor.h"
#include "gpu/json_scan.h"

namespace millrace {

/// A record's partition key and data, by record_format.h's layout.
struct record_parts {
  byte_range key;
  byte_range data;
};

MILLRACE_HOST_DEVICE inline record_parts parts_of(const record_input& record) {
  // record_header: the record's bytes, the key's bytes, and flags, of which 1 is an explicit hash
  // key.
  const auto record_bytes = load_any<std::uint32_t>(record.bytes);
  const std::uint32_t key_bytes = load_any<std::uint16_t>(record.bytes + 4);
  const bool has_hash_key = (static_cast<unsigned char>(record.bytes[6]) & 1) != 0;
  const std::uint32_t key_at = has_hash_key ? 24 : 8;
  const std::uint32_t data_at = key_at + key_bytes;
  return {{record.bytes + key_at, key_bytes}, {record.bytes + data_at, record_bytes - data_at}};
}

MILLRACE_HOST_DEVICE inline field_value read_builtin(builtin_field which,
                                                     const record_input& record,
                                                     const record_parts& parts) {
  switch (which) {
    case builtin_field::partition_key:
      return make_text(parts.key, text_form::plain);
    case builtin_field::arrival_time:
      return make_value(record.arrival_us);
    case builtin_field::shard:
      return make_value(static_cast<std::uint64_t>(record.shard));
    case builtin_field::record_number:
      return make_value(record.number);
    case builtin_field::record_bytes:
      return make_value(static_cast<std::uint64_t>(parts.data.count));
  }
  return make_null(value_state::missing);
}

/// The fields that the layout's scanner finds; they are `missing` before.
MILLRACE_HOST_DEVICE inline void scan_data(const extract_tables& tables, byte_range data,
                                           field_column fields) {
  switch (tables.header().layout) {
    case record_layout::json: {
      json_byte_cursor cursor(data);
      json_scanner<json_byte_cursor>(tables, data, cursor, fields).scan();
      break;
    }
    case record_layout::csv:
      csv_scanner(tables, data, fields).scan();
      break;
    case record_layout::access_log:
      access_log_scanner(tables, data, fields).scan();
      break;
    case record_layout::binary:
    case record_layout::none:
      break;
  }
}

/// Field f of the record goes to out[f * stride]. Texts refer to the record. Reads the program's
/// tables and the record's bytes, nothing else.
MILLRACE_HOST_DEVICE inline void extract_record(const extract_program& program,
                                                const record_input& record, field_value* out,
                                                std::size_t stride) {
  const extract_tables tables(program);
  const extract_header& header = tables.header();
  const field_column fields{out, stride};
  const record_parts parts = parts_of(record);
  for (std::uint32_t i = 0; i < header.field_count; ++i) {
    const extract_field& field = tables.field(i);
    if (field.origin == field_origin::builtin) {
      fields[i] = read_builtin(field.builtin, record, parts);
    } else if (field.origin == field_origin::binary) {
      fields[i] = read_binary(tables, field, parts.data);
    } else {
      fields[i] = make_null(value_state::missing);
    }
  }
  if (header.scanned != 0) scan_data(tables, parts.data, fields);
}

}  // namespace millrace
