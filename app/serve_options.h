#pragma once
/// What `millrace serve` can be told, in one table: the command line, the environment, the
/// configuration file and --print-config are all made from it.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/limits.h"
#include "gpu/view_plan.h"

namespace millrace {

struct serve_options {
  std::string data = "./millrace-data";
  std::string udp = "127.0.0.1:4567";    ///< "off": no UDP door
  std::string http = "127.0.0.1:4567";   ///< the Kinesis API; "off": none
  std::string admin = "127.0.0.1:9644";  ///< "off": no admin port
  std::vector<std::string> raw_udp;      ///< H:P=STREAM[,lines][,key-field=N|,key-json=PATH]
  std::string dpdk;                      ///< EAL arguments; empty: no DPDK port
  std::vector<std::string> dpdk_address;
  std::uint64_t dpdk_queues = 1;
  std::uint64_t dpdk_mtu = 1500;
  std::vector<std::string> stream;  ///< NAME:SHARDS, created at start where missing
  std::string keys;                 ///< file of shared keys
  bool allow_unauthenticated = false;
  std::string backend = "auto";
  std::string ack = "durable";
  std::string flush_engine = "auto";
  std::uint64_t doors = 1;
  std::uint64_t http_threads = 2;
  std::uint64_t http_bytes = 96 * limits::mib;
  std::string credentials;      ///< file of access keys
  std::string tls_certificate;  ///< PEM file; empty: no TLS
  std::string tls_key;          ///< PEM file
  bool plain_http = false;      ///< beside TLS, on the same port
  std::vector<std::string> cors_origin;
  std::string keyring;  ///< file of the keys of encryption at rest
  std::string region = "us-east-1";
  std::string account = "000000000000";
  std::uint64_t state_change_ms = 0;
  std::string compat_limits = "off";
  std::uint64_t arena_bytes = 256 * limits::mib;
  std::uint64_t segment_bytes = limits::segment_bytes_default;
  std::uint64_t retention_hours = limits::retention_hours_min;
  std::uint64_t retention_bytes = 0;
  std::string when_full = "refuse";
  bool busy_poll = false;
  std::string log_level = "info";
  std::string log_format = "auto";  ///< human on a terminal, json elsewhere
  std::vector<view_plan> views;     ///< only in the file: view_config.h
};

enum class setting_kind : std::uint8_t { text, number, bytes, toggle, list };

/// One row: `arena_bytes` in a file, --arena-bytes as a flag, MILLRACE_ARENA_BYTES in the
/// environment.
struct serve_setting {
  std::string_view name;
  std::string_view value_name;
  std::string_view help;
  setting_kind kind;
  std::variant<std::string serve_options::*, std::uint64_t serve_options::*, bool serve_options::*,
               std::vector<std::string> serve_options::*>
      field;
};

std::span<const serve_setting> serve_settings();
std::string flag_of(const serve_setting& setting);
std::string environment_name_of(const serve_setting& setting);

/// Sets the field from text ("true"/"false" for a toggle; one more item for a list).
status assign(serve_options& options, const serve_setting& setting, std::string_view text);
/// Empties a list, so that a source of higher precedence replaces it.
void clear_list(serve_options& options, const serve_setting& setting);

/// The options in force, as a configuration file that gives the same ones.
std::string print_config(const serve_options& options);

/// Values that cannot be, alone or together. Whatever needs the machine (addresses, files) is found
/// at start.
status check(const serve_options& options);

/// A parsed `stream` item.
struct wanted_stream {
  std::string name;
  std::uint32_t shards = 0;
};
result<wanted_stream> parse_wanted_stream(std::string_view text);

}  // namespace millrace
