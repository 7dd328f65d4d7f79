#include "analytics/view_fields.h"

#include <algorithm>
#include <array>
#include <string>

namespace millrace {
namespace {

using enum field_type;

constexpr std::array access_log_fields{
    access_log_field{"host", access_log_part::host, string},
    access_log_field{"ident", access_log_part::ident, string},
    access_log_field{"user", access_log_part::user, string},
    access_log_field{"time", access_log_part::time, timestamp},
    access_log_field{"request", access_log_part::request, string},
    access_log_field{"method", access_log_part::method, string},
    access_log_field{"path", access_log_part::path, string},
    access_log_field{"protocol", access_log_part::protocol, string},
    access_log_field{"status", access_log_part::status, int64},
    access_log_field{"bytes", access_log_part::bytes, int64},
    access_log_field{"referrer", access_log_part::referrer, string},
    access_log_field{"agent", access_log_part::agent, string},
};

constexpr std::array builtin_fields{
    builtin_field_name{"partition_key", builtin_field::partition_key, string},
    builtin_field_name{"arrival_time", builtin_field::arrival_time, timestamp},
    builtin_field_name{"shard", builtin_field::shard, int64},
    builtin_field_name{"record_number", builtin_field::record_number, int64},
    builtin_field_name{"record_bytes", builtin_field::record_bytes, int64},
};

template <class Table>
auto find_name(const Table& table, std::string_view name) -> decltype(table.data()) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const auto& one) { return one.name == name; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace

const access_log_field* find_access_log_field(std::string_view name) {
  return find_name(access_log_fields, name);
}

std::string_view to_string(access_log_part part) {
  return access_log_fields[static_cast<std::size_t>(part)].name;
}

const builtin_field_name* find_builtin_field(std::string_view name) {
  return find_name(builtin_fields, name);
}

std::string_view to_string(builtin_field field) {
  return builtin_fields[static_cast<std::size_t>(field)].name;
}

std::optional<std::uint16_t> field_scope::find(std::string_view name) {
  const auto found = std::find_if(plan_.fields.begin(), plan_.fields.end(),
                                  [&](const field_plan& one) { return one.name == name; });
  const auto index = static_cast<std::uint16_t>(found - plan_.fields.begin());
  if (found != plan_.fields.end()) return index;
  const access_log_field* part =
      plan_.layout == record_layout::access_log ? find_access_log_field(name) : nullptr;
  const builtin_field_name* builtin = find_builtin_field(name);
  if (part == nullptr && builtin == nullptr) return std::nullopt;
  field_plan implied;
  implied.name = name;
  if (part != nullptr) {
    implied.type = part->type;
    implied.source = access_log_source{part->part};
    implied.format = time_format::access_log;
  } else {
    implied.type = builtin->type;
    implied.source = builtin->field;
  }
  plan_.fields.push_back(std::move(implied));
  return index;
}

result<std::uint16_t> field_scope::need(std::string_view name) {
  if (const auto found = find(name)) return *found;
  std::string known;
  const auto add = [&](std::string_view one) {
    known += known.empty() ? "" : ", ";
    known += one;
  };
  for (const field_plan& one : plan_.fields)
    add(one.name);
  if (plan_.layout == record_layout::access_log) {
    for (const access_log_field& one : access_log_fields)
      add(one.name);
  }
  for (const builtin_field_name& one : builtin_fields)
    add(one.name);
  return error(error_code::not_found,
               "there is no field '" + std::string(name) + "'; there are " + known);
}

}  // namespace millrace
