#include <charconv>

#include "ingest/raw_listener.h"

namespace millrace {
namespace {

constexpr std::string_view shape =
    "expected HOST:PORT=STREAM[,lines][,key-field=N|,key-json=PATH], as "
    "127.0.0.1:5514=logs,lines,key-field=3";

/// The whole of `text` as a number from 1 to `max`.
std::optional<std::uint32_t> number(std::string_view text, std::uint32_t max) {
  std::uint32_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || value < 1 || value > max) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

result<raw_listener_options> parse_raw_listener(std::string_view text) {
  const auto refuse = [&](const std::string& why) {
    return error(error_code::invalid_argument,
                 "raw listener '" + std::string(text) + "': " + why + "; " + std::string(shape));
  };
  raw_listener_options out;
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return refuse("no '=STREAM' after the address");
  std::string_view where = text.substr(0, equals);
  const std::size_t colon = where.rfind(':');
  if (colon == std::string_view::npos) return refuse("no port");
  const std::string_view port_text = where.substr(colon + 1);
  const auto port = number(port_text, 65'535);
  if (!port) return refuse("port '" + std::string(port_text) + "' is not from 1 to 65535");
  out.port = static_cast<std::uint16_t>(*port);
  where = where.substr(0, colon);
  if (where.starts_with('[') && where.ends_with(']')) {
    where = where.substr(1, where.size() - 2);
  } else if (where.find(':') != std::string_view::npos) {
    return refuse("an IPv6 address stands in brackets");
  }
  if (where.empty()) return refuse("no host");
  out.host = where;

  std::string_view rest = text.substr(equals + 1);
  out.stream = rest.substr(0, rest.find(','));
  if (out.stream.empty()) return refuse("no stream");
  if (out.stream.size() > limits::stream_name_chars_max) {
    return refuse("stream name of " + std::to_string(out.stream.size()) +
                  " characters is over the limit of " +
                  std::to_string(limits::stream_name_chars_max));
  }
  rest.remove_prefix(out.stream.size());
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string_view option = rest.substr(0, rest.find(','));
    rest.remove_prefix(option.size());
    constexpr std::string_view key_field = "key-field=";
    constexpr std::string_view key_json = "key-json=";
    if (out.key != raw_key::source_address && option.starts_with("key-")) {
      return refuse("more than one key");
    }
    if (option == "lines") {
      out.lines = true;
    } else if (option.starts_with(key_field)) {
      const std::string_view value = option.substr(key_field.size());
      const auto token = number(value, limits::datagram_bytes_max);
      if (!token) {
        return refuse("key-field '" + std::string(value) +
                      "' is not the number of a token, from 1");
      }
      out.key = raw_key::token;
      out.key_token = *token;
    } else if (option.starts_with(key_json)) {
      out.key_path = option.substr(key_json.size());
      if (out.key_path.empty()) return refuse("key-json names no field");
      out.key = raw_key::json_field;
    } else {
      return refuse("unknown option '" + std::string(option) + "'");
    }
  }
  return out;
}

std::string to_string(const raw_listener_options& options) {
  const bool is_ipv6 = options.host.find(':') != std::string::npos;
  std::string text = is_ipv6 ? "[" + options.host + "]" : options.host;
  text += ":" + std::to_string(options.port) + "=" + options.stream;
  if (options.lines) text += ",lines";
  if (options.key == raw_key::token) text += ",key-field=" + std::to_string(options.key_token);
  if (options.key == raw_key::json_field) text += ",key-json=" + options.key_path;
  return text;
}

}  // namespace millrace
