#include "app/log.h"

#include <array>
#include <atomic>
#include <memory>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "api/json_text.h"

namespace millrace {
namespace {

std::atomic<bool> json_lines{false};

/// Never destroyed: the last lines of the process may come from any destructor.
spdlog::logger& logger() {
  static spdlog::logger* const one =
      new spdlog::logger("millrace", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  return *one;
}

constexpr std::array levels{spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                            spdlog::level::err};
constexpr std::array<std::string_view, 4> level_names{"debug", "info", "warning", "error"};

std::string as_json(log_level level, std::string_view event,
                    std::initializer_list<log_field> fields) {
  std::string out = ",\"level\":";
  append_json_string(out, level_names[static_cast<std::size_t>(level)]);
  out += ",\"event\":";
  append_json_string(out, event);
  for (const log_field& one : fields) {
    out += ',';
    append_json_string(out, one.name);
    out += ':';
    append_json_string(out, one.value);
  }
  return out;
}

std::string as_text(std::string_view event, std::initializer_list<log_field> fields) {
  std::string out(event);
  for (const log_field& one : fields) {
    // Quoted where a reader could not tell where the value ends; control characters never pass.
    const bool plain = !one.value.empty() && one.value.find_first_of(" \"=") == std::string::npos;
    std::string quoted;
    append_json_string(quoted, one.value);
    out += fmt::format("  {}={}", one.name, plain ? quoted.substr(1, quoted.size() - 2) : quoted);
  }
  return out;
}

}  // namespace

void start_log(std::string_view level, std::string_view format) {
  const bool json = format == "json" || (format == "auto" && isatty(STDERR_FILENO) == 0);
  json_lines.store(json, std::memory_order_relaxed);
  // The time is the pattern's part; all else of a JSON line is escaped by us.
  logger().set_pattern(json ? "{\"time\":\"%Y-%m-%dT%H:%M:%S.%fZ\"%v}" : "%H:%M:%S %^%-7l%$ %v",
                       json ? spdlog::pattern_time_type::utc : spdlog::pattern_time_type::local);
  logger().flush_on(spdlog::level::debug);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    if (level_names[i] == level) logger().set_level(levels[i]);
  }
}

void log_event(log_level level, std::string_view event, std::initializer_list<log_field> fields) {
  const auto severity = levels[static_cast<std::size_t>(level)];
  if (!logger().should_log(severity)) return;
  const bool json = json_lines.load(std::memory_order_relaxed);
  // Passed as one argument: braces in it are no format.
  logger().log(severity, spdlog::string_view_t(json ? as_json(level, event, fields)
                                                    : as_text(event, fields)));
}

}  // namespace millrace
