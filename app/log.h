#pragma once
/// What the appliance says while it runs, on standard error: lines for people on a terminal, one
/// JSON object a line elsewhere. Rare events only; nothing on the data path logs. Thread-safe.
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace millrace {

enum class log_level : std::uint8_t { debug, info, warning, error };

/// A named value of an event: `{"stream", name}`.
struct log_field {
  std::string_view name;
  std::string value;
};

/// `level`: debug, info, warning or error. `format`: auto, human or json.
void start_log(std::string_view level, std::string_view format);

/// An event and its fields. Secrets do not belong into either.
void log_event(log_level level, std::string_view event,
               std::initializer_list<log_field> fields = {});

}  // namespace millrace
