#include "api/record_lines.h"

#include <nlohmann/json.hpp>

#include "api/json_text.h"
#include "api/kpl_aggregate.h"

namespace millrace {
namespace {

using json = nlohmann::ordered_json;

error not_of_a_server() {
  return {error_code::io, "the answer is not one of a Millrace admin port"};
}

std::string text_of(const json& document, const char* key) {
  const auto found = document.find(key);
  return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
}

result<std::string> data_of(const json& document) {
  if (!document.contains("data_base64")) return text_of(document, "data");
  std::string data;
  if (!decode_base64(text_of(document, "data_base64"), data)) return not_of_a_server();
  return data;
}

/// Members of an aggregate's line that its parts have too, as text: "{…," up to and with its
/// sequence number, and those behind it.
struct common_members {
  std::string before = "{";
  std::string behind;
};

common_members members_of(const json& aggregate) {
  common_members out;
  std::string* into = &out.before;
  for (const auto& [name, value] : aggregate.items()) {
    if (name == "key" || name == "data" || name == "data_base64") continue;
    append_json_string(*into, name);
    *into += ':' + value.dump(-1, ' ', false, json::error_handler_t::replace) + ',';
    if (name == "sequence") into = &out.behind;
  }
  return out;
}

record_part part_of(const common_members& members, std::size_t number, const kpl_record& record) {
  record_part out;
  out.data.assign(reinterpret_cast<const char*>(record.data.data()), record.data.size());
  out.line = members.before + "\"subsequence\":" + std::to_string(number) + ',' + members.behind;
  out.line += "\"key\":";
  append_json_string(out.line, record.key);
  if (record.explicit_hash_key) {
    out.line += ",\"explicit_hash_key\":";
    append_json_string(out.line, *record.explicit_hash_key);
  }
  out.line += ',';
  append_data_member(out.line, record.data);
  out.line += '}';
  return out;
}

}  // namespace

result<record_line> parse_record_line(std::string_view line, bool want_data) {
  record_line out;
  out.is_cursor = line.starts_with("{\"cursor\":");
  if (!out.is_cursor && !want_data) return out;
  const json document = json::parse(line, nullptr, false);
  if (!document.is_object()) return not_of_a_server();
  if (!out.is_cursor) {
    MILLRACE_ASSIGN(out.data, data_of(document));
    return out;
  }
  out.cursor = text_of(document, "cursor");
  const auto caught_up = document.find("caught_up");
  out.caught_up = caught_up != document.end() && caught_up->is_boolean() && caught_up->get<bool>();
  return out;
}

result<std::vector<record_part>> split_record_line(std::string_view line) {
  std::vector<record_part> out;
  // The magic number is not UTF-8: whatever came as text is none, and need not be parsed.
  if (line.find("\"data_base64\":") == std::string_view::npos) return out;
  const json document = json::parse(line, nullptr, false);
  if (!document.is_object()) return not_of_a_server();
  MILLRACE_ASSIGN(const std::string data, data_of(document));
  const auto records =
      split_kpl_aggregate({reinterpret_cast<const std::byte*>(data.data()), data.size()});
  if (!records) return out;
  const common_members members = members_of(document);
  out.reserve(records->size());
  for (const kpl_record& one : *records)
    out.push_back(part_of(members, out.size(), one));
  return out;
}

}  // namespace millrace
