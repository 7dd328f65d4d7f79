#include "app/produce_setup.h"

#include <array>
#include <fstream>
#include <optional>

#include "app/parse.h"
#include "ingest/aead.h"

namespace millrace {
namespace {

constexpr std::size_t secret_digits = 32;

error refuse(const std::string& what) {
  return {error_code::invalid_argument, what};
}

std::optional<std::array<std::uint8_t, 16>> parse_hex(std::string_view text) {
  if (text.size() != secret_digits) return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    int digit = 0;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = c - 'A' + 10;
    } else {
      return std::nullopt;
    }
    bytes[i / 2] = static_cast<std::uint8_t>(bytes[i / 2] << 4 | digit);
  }
  return bytes;
}

uint128 to_number(const std::uint8_t* bytes) {
  uint128 value = 0;
  for (int i = 0; i < 16; ++i)
    value = value << 8 | bytes[i];
  return value;
}

}  // namespace

result<produce_target> parse_target(std::string_view to) {
  constexpr std::string_view udp = "udp://";
  if (to.starts_with("http://") || to.starts_with("https://")) {
    return error(error_code::unsupported, "--to '" + std::string(to) +
                                              "': producing over HTTP is not supported yet, "
                                              "use udp://HOST:PORT");
  }
  if (!to.starts_with(udp)) {
    return refuse("--to '" + std::string(to) + "': it must be udp://HOST:PORT");
  }
  std::string_view rest = to.substr(udp.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const std::size_t colon = rest.rfind(':');
  if (colon == rest.npos || colon == 0) {
    return refuse("--to '" + std::string(to) + "': it must be udp://HOST:PORT");
  }
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  MILLRACE_ASSIGN(const std::uint64_t port,
                  parse_number("the port of --to", rest.substr(colon + 1), 65'535));
  if (port == 0) return refuse("--to '" + std::string(to) + "': port 0 is nobody's");
  return produce_target{std::string(host), static_cast<std::uint16_t>(port)};
}

producer_id parse_producer_id(std::string_view text) {
  if (text.empty()) return producer_id(make_uint128(random_u64() | 1, random_u64()));
  if (const auto bytes = parse_hex(text)) {
    if (const uint128 value = to_number(bytes->data()); value != 0) return producer_id(value);
  }
  constexpr std::string_view purpose = "millrace producer id";
  const auto hash =
      hmac_sha256({reinterpret_cast<const std::byte*>(purpose.data()), purpose.size()},
                  {reinterpret_cast<const std::byte*>(text.data()), text.size()});
  return producer_id(to_number(reinterpret_cast<const std::uint8_t*>(hash.data())) | 1);
}

std::string to_string(producer_id identity) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text(secret_digits, '0');
  uint128 rest = identity.value;
  for (std::size_t i = text.size(); i-- > 0; rest >>= 4)
    text[i] = digits[static_cast<std::size_t>(rest & 15)];
  return text;
}

result<shared_key> read_key_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return error(error_code::not_found, "key file '" + path + "' cannot be read");
  std::optional<shared_key> found;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const std::size_t from = line.find_first_not_of(" \t\r");
    if (from == line.npos || line[from] == '#') continue;
    const std::string text = line.substr(from, line.find_last_not_of(" \t\r") + 1 - from);
    // Never the line itself in a message: it is a secret.
    const std::string where = "key file '" + path + "', line " + std::to_string(number);
    const std::size_t colon = text.find(':');
    const auto id = parse_number("key id", text.substr(0, colon), UINT32_MAX);
    const auto secret = colon == text.npos ? std::nullopt : parse_hex(text.substr(colon + 1));
    if (!id.ok() || *id == 0 || !secret) {
      return refuse(where + ": it must be KEY_ID:32 HEX DIGITS, with a key id from 1 on");
    }
    if (found) return refuse(where + ": a second key; a producer has one");
    found = shared_key{.key_id = static_cast<std::uint32_t>(*id), .secret = *secret};
  }
  if (!found) return refuse("key file '" + path + "' holds no key");
  return *found;
}

status check(const produce_options& options) {
  if (options.stream.empty()) return refuse("no --stream given");
  if (options.file.empty() == options.generate.empty()) {
    return refuse("either --file or --generate has to be given");
  }
  if (options.file == "-" && options.loop != 1) {
    return refuse("--loop: standard input cannot be read a second time");
  }
  if (options.rate < 0) return refuse("--rate is below 0");
  if (options.seconds < 0) return refuse("--seconds is below 0");
  return {};
}

}  // namespace millrace
