#include "api/event_reader.h"

#include <nlohmann/json.hpp>

namespace millrace {

std::optional<server_event> event_reader::next() {
  while (true) {
    const std::size_t end = text_.find("\n\n", at_);
    if (end == std::string::npos) {
      text_.erase(0, at_);
      at_ = 0;
      return std::nullopt;
    }
    server_event out;
    std::string_view lines = std::string_view(text_).substr(at_, end + 1 - at_);
    at_ = end + 2;
    while (!lines.empty()) {
      const std::string_view line = lines.substr(0, lines.find('\n'));
      lines.remove_prefix(line.size() + 1);
      if (line.starts_with("event: ")) out.name = line.substr(7);
      if (line.starts_with("data: ")) out.data = line.substr(6);
    }
    if (!out.data.empty()) return out;
  }
}

result<std::vector<event_row>> rows_of(const server_event& event) {
  using json = nlohmann::ordered_json;
  const json document = json::parse(event.data, nullptr, false);
  const error bad(error_code::io, "the answer is not one of a Millrace admin port");
  if (!document.is_object()) return bad;
  if (event.name == "fault")
    return error(error_code::unavailable, document.value("message", "the view has a fault"));
  std::vector<event_row> out;
  if (event.name != "windows") return out;
  const auto rows = document.find("rows");
  if (rows == document.end() || !rows->is_array()) return bad;
  for (const json& row : *rows) {
    if (!row.is_object()) return bad;
    event_row& one = out.emplace_back();
    one.json = row.dump(-1, ' ', false, json::error_handler_t::replace);
    for (const auto& [name, value] : row.items()) {
      one.cells.emplace_back(name, value.is_null()     ? std::string()
                                   : value.is_string() ? value.get<std::string>()
                                                       : value.dump());
    }
  }
  return out;
}

}  // namespace millrace
