#include "app/produce_setup.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <utility>

#include "api/put_request.h"
#include "app/keys_file.h"
#include "app/parse.h"
#include "ingest/aead.h"

namespace millrace {
namespace {

constexpr std::size_t secret_digits = 32;

constexpr std::uint32_t connections_max = 256;

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

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
  using protocol = produce_target::protocol;
  constexpr std::array<std::pair<std::string_view, protocol>, 3> schemes{
      {{"udp://", protocol::udp}, {"http://", protocol::http}, {"https://", protocol::https}}};
  const std::string given = "--to '" + std::string(to) + "': ";
  const auto* const scheme = std::find_if(
      schemes.begin(), schemes.end(), [&](const auto& one) { return to.starts_with(one.first); });
  if (scheme == schemes.end())
    return refuse(given + "it must be udp://HOST:PORT, http://HOST:PORT or https://HOST:PORT");
  std::string_view rest = to.substr(scheme->first.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const std::size_t colon = rest.rfind(':');
  if (colon == rest.npos || colon == 0) return refuse(given + "there is no port, as in HOST:PORT");
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  MILLRACE_ASSIGN(const std::uint64_t port,
                  parse_number("the port of --to", rest.substr(colon + 1), 65'535));
  if (port == 0) return refuse(given + "port 0 is nobody's");
  return produce_target{
      .by = scheme->second, .host = std::string(host), .port = static_cast<std::uint16_t>(port)};
}

result<std::optional<credential>> find_credential(const produce_options& options) {
  if (!options.credentials.empty()) {
    MILLRACE_ASSIGN(const std::string text,
                    read_secret_file("credentials file", options.credentials));
    MILLRACE_ASSIGN(const credential_set known, parse_credentials(text, options.credentials));
    if (options.access_key.empty()) return std::optional(known.all.front());
    if (const credential* const found = known.find(options.access_key))
      return std::optional(*found);
    return refuse("credentials file '" + options.credentials + "' has no key '" +
                  options.access_key + "'");
  }
  if (!options.access_key.empty()) return refuse("--access-key needs --credentials FILE");
  const std::string id = environment("AWS_ACCESS_KEY_ID");
  const std::string secret = environment("AWS_SECRET_ACCESS_KEY");
  if (id.empty() && secret.empty()) return std::optional<credential>();
  if (id.empty() || secret.empty())
    return refuse("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: one of them is not set");
  credential one;
  one.access_key = id;
  one.secret = secret;
  one.session_token = environment("AWS_SESSION_TOKEN");
  return std::optional(std::move(one));
}

result<kinesis_producer_options> http_options(const produce_options& options,
                                              const produce_target& target) {
  if (!options.producer_id.empty())
    return refuse("--producer-id: over HTTP nobody knows a producer again; use udp://");
  if (!options.key_file.empty())
    return refuse("--key-file is for udp://; over HTTP it is --credentials");
  if (options.connections == 0 || options.connections > connections_max)
    return refuse("--connections " + std::to_string(options.connections) + ": it must be 1 to " +
                  std::to_string(connections_max));
  if (options.request_records == 0 || options.request_records > put_records_max)
    return refuse("--request-records " + std::to_string(options.request_records) +
                  ": it must be 1 to " + std::to_string(put_records_max));
  kinesis_producer_options out;
  out.target.host = target.host;
  out.target.port = target.port;
  if (target.by == produce_target::protocol::https) {
    out.target.trust = http_trust::in_anybody();
    if (!options.insecure) {
      MILLRACE_ASSIGN(out.target.trust, http_trust::by_certificate(options.ca));
    }
  }
  out.target.stream = options.stream;
  for (const std::string& region :
       {options.region, environment("AWS_REGION"), environment("AWS_DEFAULT_REGION")}) {
    if (region.empty()) continue;
    out.target.region = region;
    break;
  }
  MILLRACE_ASSIGN(out.target.who, find_credential(options));
  out.connections = options.connections;
  out.records_max = options.request_records;
  out.buffer_bytes_max = options.buffer_bytes_max;
  out.wants_results = !options.acks_file.empty();
  return out;
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
  if (!options.to.starts_with("https://") && (options.insecure || !options.ca.empty()))
    return refuse("--ca and --insecure are for --to https://");
  if (options.insecure && !options.ca.empty())
    return refuse("--insecure asks nobody, so there is no use for --ca");
  if (options.rate < 0) return refuse("--rate is below 0");
  if (options.seconds < 0) return refuse("--seconds is below 0");
  return {};
}

}  // namespace millrace
