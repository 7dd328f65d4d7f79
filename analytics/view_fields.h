#pragma once
/// The fields that a text may name: those a view declares, and those that go without saying.
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "gpu/view_plan.h"

namespace millrace {

/// "host", "status", …: a part of the access log, with the type it is read as.
struct access_log_field {
  std::string_view name;
  access_log_part part;
  field_type type;
};
const access_log_field* find_access_log_field(std::string_view name);
std::string_view to_string(access_log_part part);

/// "partition_key", "arrival_time", …
struct builtin_field_name {
  std::string_view name;
  builtin_field field;
  field_type type;
};
const builtin_field_name* find_builtin_field(std::string_view name);
std::string_view to_string(builtin_field field);

/// Looks names up in a plan's fields. A name that is not declared there, but is one of the built-in
/// fields, or of the parts of an access log in a view of that layout, is added to them.
class field_scope {
 public:
  /// `plan` outlives this.
  explicit field_scope(view_plan& plan) : plan_(plan) {}

  std::optional<std::uint16_t> find(std::string_view name);
  /// `not_found` says what fields there are.
  result<std::uint16_t> need(std::string_view name);
  const field_plan& at(std::uint16_t field) const { return plan_.fields[field]; }

 private:
  view_plan& plan_;
};

}  // namespace millrace
