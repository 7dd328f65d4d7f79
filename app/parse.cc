#include "app/parse.h"

#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace millrace {
namespace {

error not_good(std::string_view what, std::string_view text, std::string_view wanted) {
  return {error_code::invalid_argument, fmt::format("{} '{}' is not {}", what, text, wanted)};
}

struct unit {
  std::string_view suffix;
  double factor;
};
constexpr std::array units{
    unit{"KiB", 1024.0},
    unit{"MiB", 1048576.0},
    unit{"GiB", 1073741824.0},
    unit{"TiB", 1099511627776.0},
    unit{"kB", 1e3},
    unit{"MB", 1e6},
    unit{"GB", 1e9},
    unit{"TB", 1e12},
    unit{"k", 1e3},
    unit{"M", 1e6},
    unit{"G", 1e9},
    unit{"T", 1e12},
    unit{"B", 1.0},
};

}  // namespace

result<std::uint64_t> parse_number(std::string_view what, std::string_view text,
                                   std::uint64_t max) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || problem == std::errc::invalid_argument || end != text.data() + text.size())
    return not_good(what, text, "a number");
  if (problem == std::errc::result_out_of_range || value > max)
    return error(error_code::invalid_argument,
                 fmt::format("{} {} is over the maximum {}", what, text, max));
  return value;
}

result<std::uint64_t> parse_bytes(std::string_view what, std::string_view text) {
  std::string_view number = text;
  double factor = 1;
  for (const unit& one : units) {
    if (!text.ends_with(one.suffix)) continue;
    number.remove_suffix(one.suffix.size());
    while (number.ends_with(' '))
      number.remove_suffix(1);
    factor = one.factor;
    break;
  }
  if (factor == 1) {
    if (auto whole = parse_number(what, number, INT64_MAX); whole.ok()) return *whole;
  }
  double value = 0;
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (number.empty() || problem != std::errc() || end != number.data() + number.size() ||
      !std::isfinite(value) || value < 0 || value * factor >= 9e18)
    return not_good(what, text, "a number of bytes such as 65536, 64KiB or 1.5GiB");
  return static_cast<std::uint64_t>(std::llround(value * factor));
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array names{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t i = 0;
  while (value >= 1024 && i + 1 < names.size()) {
    value /= 1024;
    ++i;
  }
  return i == 0 || value == std::floor(value) ? fmt::format("{:.0f} {}", value, names[i])
                                              : fmt::format("{:.1f} {}", value, names[i]);
}

result<host_port> parse_host_port(std::string_view what, std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return not_good(what, text, "HOST:PORT, such as 127.0.0.1:4567 or [::1]:4567");
  std::string_view host = text.substr(0, colon);
  auto port = parse_number(fmt::format("port of {}", what), text.substr(colon + 1), 65535);
  if (!port.ok()) return std::move(port).failure();
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return not_good(what, text, "HOST:PORT; write an IPv6 address in brackets: [::1]:4567");
  }
  if (host == "localhost") host = "127.0.0.1";
  if (host.empty()) return not_good(what, text, "HOST:PORT: the host is empty");
  return host_port{std::string(host), static_cast<std::uint16_t>(*port)};
}

std::string to_string(const host_port& where) {
  return where.host.find(':') == std::string::npos ? fmt::format("{}:{}", where.host, where.port)
                                                   : fmt::format("[{}]:{}", where.host, where.port);
}

bool is_loopback(const host_port& where) {
  return where.host.starts_with("127.") || where.host == "::1";
}

}  // namespace millrace
