#include "api/http_upgrade.h"

#include <algorithm>

#include "api/json_text.h"

namespace millrace {
namespace {

/// Of one setting, in the frame.
constexpr std::size_t setting_bytes = 6;

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

/// Whether a list like "keep-alive, Upgrade" has the token.
bool has_token(std::string_view list, std::string_view token) {
  const std::string text = lowered(list);
  std::string_view rest = text;
  while (true) {
    std::string_view one = rest.substr(0, rest.find(','));
    const std::size_t bytes = one.size();
    while (one.starts_with(' ') || one.starts_with('\t'))
      one.remove_prefix(1);
    while (one.ends_with(' ') || one.ends_with('\t'))
      one.remove_suffix(1);
    if (one == token) return true;
    if (bytes == rest.size()) return false;
    rest.remove_prefix(bytes + 1);
  }
}

/// base64url, with padding or without.
bool decode_settings(std::string_view text, std::string& out) {
  std::string plain(text);
  std::replace(plain.begin(), plain.end(), '-', '+');
  std::replace(plain.begin(), plain.end(), '_', '/');
  while (plain.size() % 4 != 0)
    plain += '=';
  return decode_base64(plain, out) && out.size() % setting_bytes == 0;
}

}  // namespace

std::optional<http2_upgrade> upgrade_asked_for(const gate_request& request) {
  const std::string_view connection = request.header("Connection");
  if (!has_token(request.header("Upgrade"), "h2c") || !has_token(connection, "upgrade") ||
      !has_token(connection, "http2-settings"))
    return std::nullopt;
  http2_upgrade out;
  bool has_settings = false;
  for (const auto& [name, value] : request.headers) {
    const std::string small = lowered(name);
    if (small == "http2-settings") {
      if (has_settings || !decode_settings(value, out.settings)) return std::nullopt;
      has_settings = true;
    } else if (small != "connection" && small != "upgrade") {
      out.headers.emplace_back(name, value);
    }
  }
  if (!has_settings) return std::nullopt;
  out.method = request.method;
  out.target = request.target;
  return out;
}

}  // namespace millrace
