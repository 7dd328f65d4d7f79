#include "app/config_text.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include <fmt/format.h>

namespace millrace {
namespace {

/// Levenshtein's distance: how many keys were hit wrong.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] =
          std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? std::size_t{0} : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

error config_error(std::string_view source, std::uint32_t line, std::string_view message) {
  return {error_code::invalid_argument, fmt::format("{}:{}: {}", source, line, message)};
}

std::string unknown_key(std::string_view key, std::span<const std::string_view> known) {
  const auto nearest = std::min_element(known.begin(), known.end(), [&](auto a, auto b) {
    return distance(a, key) < distance(b, key);
  });
  std::string message = fmt::format("unknown key '{}'", key);
  if (nearest != known.end() && distance(*nearest, key) <= 3)
    message += fmt::format("; did you mean '{}'?", *nearest);
  return message;
}

std::string toml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace millrace
