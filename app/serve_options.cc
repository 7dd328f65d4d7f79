#include "app/serve_options.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <initializer_list>

#include <fmt/format.h>

#include "api/http_cors.h"
#include "app/config_text.h"
#include "app/parse.h"
#include "app/view_config.h"

namespace millrace {
namespace {

using s = serve_options;
using enum setting_kind;

constexpr std::array settings{
    serve_setting{"data", "DIR", "directory of the logs, one process each", text, &s::data},
    serve_setting{"udp", "H:P", "where the record protocol listens; port 0: any; off: nowhere",
                  text, &s::udp},
    serve_setting{"http", "H:P", "where the Kinesis API listens (TCP); port 0: any; off: nowhere",
                  text, &s::http},
    serve_setting{"admin", "H:P", "where the admin port listens; port 0: any; off: nowhere", text,
                  &s::admin},
    serve_setting{"raw_udp", "H:P=STREAM[,lines][,key-field=N|,key-json=PATH]",
                  "raw datagrams into a stream, a record each (or each line of one); lossy; may be "
                  "repeated",
                  list, &s::raw_udp},
    serve_setting{"dpdk", "'EAL ARGS'", "take records from a DPDK port too", text, &s::dpdk},
    serve_setting{"dpdk_address", "IP/PREFIX", "address of the DPDK port; may be repeated", list,
                  &s::dpdk_address},
    serve_setting{"dpdk_queues", "N", "receive queues of each DPDK port, a core each", number,
                  &s::dpdk_queues},
    serve_setting{"dpdk_mtu", "BYTES", "largest packet of the DPDK port", number, &s::dpdk_mtu},
    serve_setting{"stream", "NAME:SHARDS", "create the stream at start if missing; may be repeated",
                  list, &s::stream},
    serve_setting{"keys", "FILE", "shared keys; with it, only keyed producers are let in", text,
                  &s::keys},
    serve_setting{"allow_unauthenticated", "", "listen beyond loopback without keys", toggle,
                  &s::allow_unauthenticated},
    serve_setting{"backend", "auto|cuda|cpu",
                  "what routes records and folds views; auto: a GPU where there are views", text,
                  &s::backend},
    serve_setting{
        "ack", "durable|written",
        "ack when on the disk, or already when the kernel has it (loses on power failure)", text,
        &s::ack},
    serve_setting{"flush_engine", "auto|io_uring|threads", "how log writes are made", text,
                  &s::flush_engine},
    serve_setting{"doors", "N", "UDP threads, each with its own socket on the same port", number,
                  &s::doors},
    serve_setting{"http_threads", "N", "threads of the Kinesis API, each with its own acceptor",
                  number, &s::http_threads},
    serve_setting{"http_bytes", "BYTES",
                  "memory for request bodies between arrival and log, besides arena_bytes", bytes,
                  &s::http_bytes},
    serve_setting{
        "credentials", "FILE",
        "access keys of the Kinesis API: requests have to be signed; read again on SIGHUP", text,
        &s::credentials},
    serve_setting{"tls_certificate", "FILE",
                  "certificate chain (PEM): the Kinesis API then speaks TLS; read again on SIGHUP",
                  text, &s::tls_certificate},
    serve_setting{"tls_key", "FILE", "private key of that certificate (PEM, chmod 600)", text,
                  &s::tls_key},
    serve_setting{"plain_http", "", "beside TLS, serve what comes without it on the same port",
                  toggle, &s::plain_http},
    serve_setting{"cors_origin", "ORIGIN",
                  "pages of that origin (https://app.example.com) may use the Kinesis API; may be "
                  "repeated",
                  list, &s::cors_origin},
    serve_setting{"keyring", "FILE", "keys of encryption at rest: ID:64 HEX DIGITS NAME", text,
                  &s::keyring},
    serve_setting{"region", "NAME", "region in the ARNs of the Kinesis API", text, &s::region},
    serve_setting{"account", "DIGITS", "account in the ARNs of the Kinesis API, 12 digits", text,
                  &s::account},
    serve_setting{"state_change_ms", "MS",
                  "how long the Kinesis API shows CREATING and UPDATING after a change", number,
                  &s::state_change_ms},
    serve_setting{"compat_limits", "on|off",
                  "on: the Kinesis API has AWS' throughput quotas; off: the hardware is the limit",
                  text, &s::compat_limits},
    serve_setting{"arena_bytes", "BYTES", "memory for records between arrival and log", bytes,
                  &s::arena_bytes},
    serve_setting{"segment_bytes", "BYTES", "size of a segment file", bytes, &s::segment_bytes},
    serve_setting{"retention_hours", "N", "how long the streams made by --stream keep records",
                  number, &s::retention_hours},
    serve_setting{"retention_bytes", "BYTES", "bytes that those streams may hold; 0: no bound",
                  bytes, &s::retention_bytes},
    serve_setting{"when_full", "refuse|drop-oldest", "what happens at that bound", text,
                  &s::when_full},
    serve_setting{"busy_poll", "", "spin instead of sleeping: lower latency for whole cores",
                  toggle, &s::busy_poll},
    serve_setting{"log_level", "debug|info|warning|error", "least severe message to log", text,
                  &s::log_level},
    serve_setting{"log_format", "auto|human|json", "auto: human on a terminal, json elsewhere",
                  text, &s::log_format},
};

status one_of(std::string_view name, std::string_view value,
              std::initializer_list<std::string_view> choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
  return error(error_code::invalid_argument,
               fmt::format("{} '{}' is none of {}", name, value, fmt::join(choices, ", ")));
}

status between(std::string_view name, std::uint64_t value, std::uint64_t min, std::uint64_t max) {
  if (value >= min && value <= max) return {};
  return error(error_code::invalid_argument,
               fmt::format("{} {} is not between {} and {}", name, value, min, max));
}

std::string dashed(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

status check_listener(std::string_view name, const std::string& where, bool open_allowed) {
  if (where == "off") return {};
  MILLRACE_ASSIGN(const host_port parsed, parse_host_port(name, where));
  if (is_loopback(parsed) || open_allowed) return {};
  return error(
      error_code::invalid_argument,
      fmt::format("{} '{}' listens beyond loopback without credentials: configure keys, or "
                  "say --allow-unauthenticated",
                  name, where));
}

}  // namespace

std::span<const serve_setting> serve_settings() {
  return settings;
}

std::string flag_of(const serve_setting& setting) {
  return "--" + dashed(setting.name);
}

std::string environment_name_of(const serve_setting& setting) {
  std::string out = "MILLRACE_";
  for (const char c : setting.name)
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

status assign(serve_options& options, const serve_setting& setting, std::string_view value) {
  switch (setting.kind) {
    case text:
      options.*std::get<std::string s::*>(setting.field) = value;
      return {};
    case list:
      (options.*std::get<std::vector<std::string> s::*>(setting.field)).emplace_back(value);
      return {};
    case number: {
      MILLRACE_ASSIGN(options.*std::get<std::uint64_t s::*>(setting.field),
                      parse_number(setting.name, value));
      return {};
    }
    case bytes: {
      MILLRACE_ASSIGN(options.*std::get<std::uint64_t s::*>(setting.field),
                      parse_bytes(setting.name, value));
      return {};
    }
    case toggle:
      MILLRACE_TRY(one_of(setting.name, value, {"true", "false", "1", "0"}));
      options.*std::get<bool s::*>(setting.field) = value == "true" || value == "1";
      return {};
  }
  return {};
}

void clear_list(serve_options& options, const serve_setting& setting) {
  if (setting.kind == list)
    (options.*std::get<std::vector<std::string> s::*>(setting.field)).clear();
}

std::string print_config(const serve_options& options) {
  std::string out;
  for (const serve_setting& one : settings) {
    out += fmt::format("# {}\n{} = ", one.help, one.name);
    switch (one.kind) {
      case text:
        out += toml_quoted(options.*std::get<std::string s::*>(one.field));
        break;
      case number:
      case bytes:
        out += std::to_string(options.*std::get<std::uint64_t s::*>(one.field));
        break;
      case toggle:
        out += options.*std::get<bool s::*>(one.field) ? "true" : "false";
        break;
      case list: {
        out += '[';
        const char* between_items = "";
        for (const std::string& item :
             options.*std::get<std::vector<std::string> s::*>(one.field)) {
          out += between_items + toml_quoted(item);
          between_items = ", ";
        }
        out += ']';
        break;
      }
    }
    out += '\n';
  }
  for (const view_plan& view : options.views)
    out += "\n" + view_toml(view);
  return out;
}

status check(const serve_options& options) {
  MILLRACE_TRY(one_of("backend", options.backend, {"auto", "cuda", "cpu"}));
  MILLRACE_TRY(one_of("ack", options.ack, {"durable", "written"}));
  MILLRACE_TRY(one_of("flush_engine", options.flush_engine, {"auto", "io_uring", "threads"}));
  MILLRACE_TRY(one_of("when_full", options.when_full, {"refuse", "drop-oldest"}));
  MILLRACE_TRY(one_of("compat_limits", options.compat_limits, {"on", "off"}));
  MILLRACE_TRY(one_of("log_level", options.log_level, {"debug", "info", "warning", "error"}));
  MILLRACE_TRY(one_of("log_format", options.log_format, {"auto", "human", "json"}));
  MILLRACE_TRY(between("doors", options.doors, 1, 64));
  MILLRACE_TRY(between("dpdk_queues", options.dpdk_queues, 1, 64));
  MILLRACE_TRY(between("dpdk_mtu", options.dpdk_mtu, 1280, 9000));
  MILLRACE_TRY(between("http_threads", options.http_threads, 1, 64));
  MILLRACE_TRY(between("http_bytes", options.http_bytes, 32 * limits::mib, 1ull << 40));
  MILLRACE_TRY(between("state_change_ms", options.state_change_ms, 0, 600'000));
  if (options.account.size() != 12 ||
      options.account.find_first_not_of("0123456789") != std::string::npos)
    return error(error_code::invalid_argument,
                 fmt::format("account '{}' is not 12 digits", options.account));
  MILLRACE_TRY(between("arena_bytes", options.arena_bytes, 64 * limits::mib, 1ull << 40));
  MILLRACE_TRY(between("segment_bytes", options.segment_bytes, 64 * limits::mib, 1ull << 40));
  MILLRACE_TRY(between("retention_hours", options.retention_hours, limits::retention_hours_min,
                       limits::retention_hours_max));
  if (options.data.empty())
    return error(error_code::invalid_argument, "data is empty: name a directory");

  // Raw datagrams and the admin port's reads carry no credentials at all.
  const bool open = options.allow_unauthenticated;
  MILLRACE_TRY(check_listener("udp", options.udp, open || !options.keys.empty()));
  MILLRACE_TRY(check_listener("http", options.http, open || !options.credentials.empty()));
  MILLRACE_TRY(check_listener("admin", options.admin, open));
  for (const std::string& one : options.raw_udp) {
    const std::size_t equals = one.find('=');
    if (equals == std::string::npos)
      return error(
          error_code::invalid_argument,
          fmt::format("raw_udp '{}' is not H:P=STREAM[,lines][,key-field=N|,key-json=PATH]", one));
    MILLRACE_TRY(check_listener("raw_udp", one.substr(0, equals), open));
  }
  if (options.tls_certificate.empty() != options.tls_key.empty())
    return error(error_code::invalid_argument, options.tls_key.empty()
                                                   ? "tls_certificate is given, but not tls_key"
                                                   : "tls_key is given, but not tls_certificate");
  for (const std::string& one : options.cors_origin) {
    if (!is_origin(one))
      return error(
          error_code::invalid_argument,
          fmt::format("cors_origin '{}' is not SCHEME://HOST[:PORT] with http or https", one));
  }
  if (options.plain_http && options.tls_key.empty())
    return error(error_code::invalid_argument,
                 "plain_http is given, but not tls_certificate: without it, all is plain anyway");
  if (options.dpdk.empty() && !options.dpdk_address.empty())
    return error(error_code::invalid_argument, "dpdk_address is given, but not dpdk");
  if (!options.dpdk.empty() && options.keys.empty() && !open)
    return error(error_code::invalid_argument,
                 "a DPDK port takes records from the network without credentials: configure keys, "
                 "or say --allow-unauthenticated");
  for (const std::string& one : options.stream)
    MILLRACE_TRY(parse_wanted_stream(one));
  return {};
}

result<wanted_stream> parse_wanted_stream(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return error(error_code::invalid_argument, fmt::format("stream '{}' is not NAME:SHARDS", text));
  MILLRACE_ASSIGN(const std::uint64_t shards,
                  parse_number(fmt::format("shards of stream '{}'", text.substr(0, colon)),
                               text.substr(colon + 1), limits::open_shards_max));
  if (shards == 0)
    return error(error_code::invalid_argument,
                 fmt::format("shards of stream '{}' 0 is below the minimum 1", text));
  return wanted_stream{std::string(text.substr(0, colon)), static_cast<std::uint32_t>(shards)};
}

}  // namespace millrace
