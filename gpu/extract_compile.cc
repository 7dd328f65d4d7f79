#include "gpu/extract_compile.h"

#include <algorithm>

#include "base/limits.h"
#include "gpu/binary_read.h"
#include "gpu/extract_tables.h"
#include "gpu/json_path.h"
#include "gpu/powers_of_five.h"
#include "gpu/table_block.h"

namespace millrace {
namespace {

error wrong(std::string message) {
  return error(error_code::invalid_argument, std::move(message));
}

constexpr std::string_view layout_names[] = {"none", "json", "csv", "access_log", "binary"};
constexpr std::string_view part_names[] = {"host",    "ident",  "user",     "time",
                                           "request", "method", "path",     "protocol",
                                           "status",  "bytes",  "referrer", "agent"};
constexpr std::string_view kind_names[] = {"i8",  "i16", "i32", "i64", "u8",  "u16",
                                           "u32", "u64", "f32", "f64", "text"};
constexpr std::string_view builtin_names[] = {"partition_key", "arrival_time", "shard",
                                              "record_number", "record_bytes"};
constexpr std::string_view type_names[] = {"int64", "float64", "string", "boolean", "timestamp"};

template <class Enum, std::size_t N>
std::string name_of(const std::string_view (&names)[N], Enum value) {
  const auto at = static_cast<std::size_t>(value);
  return std::string(at < N ? names[at] : "unknown");
}

class table_compiler {
 public:
  table_compiler(record_layout layout, char csv_delimiter) {
    header_.layout = layout;
    header_.csv_delimiter = csv_delimiter;
  }

  result<std::vector<std::byte>> compile(std::span<const field_plan> fields) {
    if (fields.size() > limits::extract_fields_max) {
      return wrong(std::to_string(fields.size()) + " fields are over extract_fields_max " +
                   std::to_string(limits::extract_fields_max));
    }
    const char delimiter = header_.csv_delimiter;
    if (header_.layout == record_layout::csv &&
        (delimiter == '"' || delimiter == '\n' || delimiter == '\r')) {
      return wrong("a quote, line feed or carriage return cannot be the CSV delimiter");
    }
    for (const field_plan& field : fields) {
      if (status added = add(field); !added.ok()) {
        return std::move(added).failure().with_context("field '" + field.name + "'");
      }
    }
    return finish();
  }

 private:
  status add(const field_plan& plan) {
    extract_field row{};
    row.type = plan.type;
    row.format = plan.format;
    const auto number = static_cast<std::uint32_t>(rows_.size());
    MILLRACE_TRY(std::visit(
        [&](const auto& source) { return add_source(plan, source, number, row); }, plan.source));
    const bool apart = row.origin == field_origin::binary || row.origin == field_origin::builtin;
    (apart ? header_.others : header_.scanned) |= 1ull << number;
    // Only decimal numbers need the powers.
    needs_powers_ |= row.type == field_type::float64 && row.origin != field_origin::builtin &&
                     (row.origin != field_origin::binary || row.binary == binary_kind::text);
    rows_.push_back(row);
    return {};
  }

  status of_layout(record_layout needed) const {
    if (header_.layout == needed) return {};
    return wrong("comes from " + name_of(layout_names, needed) + ", but the view's layout is " +
                 name_of(layout_names, header_.layout));
  }

  status add_source(const field_plan&, const json_source& source, std::uint32_t number,
                    extract_field& row) {
    MILLRACE_TRY(of_layout(record_layout::json));
    row.origin = field_origin::json;
    MILLRACE_ASSIGN(auto steps, parse_json_path(source.path));
    paths_.push_back(std::move(steps));
    path_fields_.push_back(number);
    return {};
  }

  status add_source(const field_plan&, const csv_source& source, std::uint32_t number,
                    extract_field& row) {
    MILLRACE_TRY(of_layout(record_layout::csv));
    row.origin = field_origin::csv;
    if (source.column >= limits::csv_columns_max) {
      return wrong("column " + std::to_string(source.column) + " is not below csv_columns_max " +
                   std::to_string(limits::csv_columns_max));
    }
    columns_.push_back({source.column, number});
    return {};
  }

  status add_source(const field_plan& plan, const access_log_source& source, std::uint32_t,
                    extract_field& row) {
    MILLRACE_TRY(of_layout(record_layout::access_log));
    row.origin = field_origin::access_log;
    row.part = source.part;
    header_.parts |= static_cast<std::uint16_t>(1u << static_cast<int>(source.part));
    const bool is_number =
        source.part == access_log_part::status || source.part == access_log_part::bytes;
    const bool fits =
        plan.type == field_type::string ||
        (is_number && (plan.type == field_type::int64 || plan.type == field_type::float64)) ||
        (source.part == access_log_part::time && plan.type == field_type::timestamp &&
         plan.format == time_format::access_log);
    return fits ? status()
                : cannot_be(name_of(part_names, source.part) + " of an access log", plan);
  }

  status add_source(const field_plan& plan, const binary_source& source, std::uint32_t,
                    extract_field& row) {
    MILLRACE_TRY(of_layout(record_layout::binary));
    row.origin = field_origin::binary;
    row.binary = source.kind;
    row.big_endian = source.big_endian;
    row.offset = source.offset;
    const bool is_text = source.kind == binary_kind::text;
    row.bytes = is_text ? source.bytes : binary_kind_bytes(source.kind);
    if (row.bytes == 0) return wrong("a text needs its width in bytes");
    if (static_cast<std::uint64_t>(row.offset) + row.bytes > limits::record_payload_bytes_max) {
      return wrong(
          "ends at byte " + std::to_string(static_cast<std::uint64_t>(row.offset) + row.bytes) +
          ", over record_payload_bytes_max " + std::to_string(limits::record_payload_bytes_max));
    }
    if (is_text) return {};
    const bool is_float = source.kind == binary_kind::f32 || source.kind == binary_kind::f64;
    const bool fits =
        plan.type == field_type::float64 ||
        (plan.type == field_type::timestamp && !is_time_text(plan.format)) ||
        (!is_float && (plan.type == field_type::int64 || plan.type == field_type::boolean));
    return fits ? status() : cannot_be(name_of(kind_names, source.kind), plan);
  }

  status add_source(const field_plan& plan, builtin_field source, std::uint32_t,
                    extract_field& row) {
    row.origin = field_origin::builtin;
    row.builtin = source;
    const field_type type = source == builtin_field::partition_key  ? field_type::string
                            : source == builtin_field::arrival_time ? field_type::timestamp
                                                                    : field_type::int64;
    return plan.type == type ? status() : cannot_be(name_of(builtin_names, source), plan);
  }

  static status cannot_be(const std::string& what, const field_plan& plan) {
    std::string type = name_of(type_names, plan.type);
    if (plan.type == field_type::timestamp) type += " of that format";
    return wrong(what + " cannot be read as " + type);
  }

  std::vector<std::byte> finish() {
    std::vector<std::byte> block(sizeof header_);
    header_.field_count = static_cast<std::uint32_t>(rows_.size());
    header_.fields_at = append_rows(block, std::span<const extract_field>(rows_));
    std::ranges::stable_sort(columns_, {}, &csv_column::column);
    header_.columns = static_cast<std::uint32_t>(columns_.size());
    header_.columns_at = append_rows(block, std::span<const csv_column>(columns_));
    header_.nodes_at = append_json_tree(paths_, path_fields_, block);
    if (needs_powers_) {
      header_.powers_at = append_rows(block, std::span<const power_of_five>(power_of_five_table()));
    }
    std::memcpy(block.data(), &header_, sizeof header_);
    return block;
  }

  extract_header header_{};
  std::vector<extract_field> rows_;
  std::vector<csv_column> columns_;
  std::vector<std::vector<json_step>> paths_;
  std::vector<std::uint32_t> path_fields_;
  bool needs_powers_ = false;
};

}  // namespace

result<std::vector<std::byte>> compile_extract_tables(record_layout layout, char csv_delimiter,
                                                      std::span<const field_plan> fields) {
  return table_compiler(layout, csv_delimiter).compile(fields);
}

}  // namespace millrace
