#pragma once
/// The block of tables that an extract_program points to. Offsets are in bytes from its start, so
/// that it means the same wherever it is copied to; it starts at a multiple of 8.
#include "gpu/double_round.h"
#include "gpu/extract_program.h"
#include "gpu/view_plan.h"

namespace millrace {

/// Where a field comes from.
enum class field_origin : std::uint8_t { json, csv, access_log, binary, builtin };

struct extract_field {
  field_type type;
  field_origin origin;
  time_format format;
  access_log_part part;
  binary_kind binary;
  builtin_field builtin;
  bool big_endian;
  std::uint8_t reserved;
  std::uint32_t offset;  ///< binary
  std::uint32_t bytes;   ///< binary: of its text
};
static_assert(sizeof(extract_field) == 16);

/// A step of a JSON path that some field takes, from an object or from an array.
struct json_edge {
  std::uint64_t head;        ///< the name's first 8 bytes, zeros after a shorter one
  std::uint32_t name_at;     ///< the name's bytes
  std::uint32_t name_bytes;  ///< or the element's number
  std::uint32_t node;        ///< where it leads
  std::uint32_t reserved;
};
static_assert(sizeof(json_edge) == 24);

/// A place in documents that some field's path goes through; the first node is the document itself.
/// Sets of fields are bits.
struct json_node {
  std::uint64_t own;             ///< fields whose path ends here
  std::uint64_t below;           ///< those and all that go on from here
  std::uint64_t below_names;     ///< that go on as in an object
  std::uint64_t below_elements;  ///< that go on as in an array
  std::uint64_t name_filter;     ///< json_name_bit() of each name: most other names are not in it
  std::uint32_t parent;
  std::uint32_t from_element;  ///< 1: it is an element of its parent, number `element`
  std::uint32_t element;
  std::uint32_t edges_at;  ///< names first, then elements, ascending
  std::uint32_t names;
  std::uint32_t elements;
};
static_assert(sizeof(json_node) == 64);

struct csv_column {
  std::uint32_t column;
  std::uint32_t field;
};

struct extract_header {
  record_layout layout;
  char csv_delimiter;
  std::uint16_t parts;  ///< access log: a bit of each access_log_part that is wanted
  std::uint32_t field_count;
  std::uint64_t scanned;     ///< fields that the layout's scanner fills in
  std::uint64_t others;      ///< binary and built-in ones
  std::uint32_t fields_at;   ///< extract_field of each
  std::uint32_t nodes_at;    ///< json_node
  std::uint32_t columns_at;  ///< csv_column of each CSV field, ascending
  std::uint32_t columns;
  std::uint32_t powers_at;  ///< power_of_five, where some double is written in decimal
  std::uint32_t reserved_2;
};
static_assert(sizeof(extract_header) == 48);

/// Reads the block.
class extract_tables {
 public:
  MILLRACE_HOST_DEVICE explicit extract_tables(const extract_program& program)
      : tables_(program.tables) {}

  MILLRACE_HOST_DEVICE const extract_header& header() const { return *at<extract_header>(0); }
  MILLRACE_HOST_DEVICE const extract_field& field(std::uint32_t number) const {
    return at<extract_field>(header().fields_at)[number];
  }
  MILLRACE_HOST_DEVICE const json_node& node(std::uint32_t number) const {
    return at<json_node>(header().nodes_at)[number];
  }
  MILLRACE_HOST_DEVICE const json_edge* edges(const json_node& node) const {
    return at<json_edge>(node.edges_at);
  }
  MILLRACE_HOST_DEVICE const std::byte* name(const json_edge& edge) const {
    return tables_ + edge.name_at;
  }
  MILLRACE_HOST_DEVICE const csv_column* columns() const {
    return at<csv_column>(header().columns_at);
  }
  MILLRACE_HOST_DEVICE const power_of_five* powers() const {
    return at<power_of_five>(header().powers_at);
  }

 private:
  template <class Row>
  MILLRACE_HOST_DEVICE const Row* at(std::uint32_t offset) const {
    return reinterpret_cast<const Row*>(tables_ + offset);
  }
  const std::byte* tables_;
};

/// Where extraction writes: the fields of one record, `stride` apart.
struct field_column {
  field_value* out;
  std::size_t stride;

  MILLRACE_HOST_DEVICE field_value& operator[](std::uint32_t field) const {
    return out[field * stride];
  }
};

}  // namespace millrace
