#pragma once
/// The command line of `millrace`, parsed. The only place that knows the parser library.
#include <string>
#include <variant>

#include "app/bench.h"
#include "app/doctor.h"
#include "app/produce.h"
#include "app/serve_options.h"
#include "app/stream_command.h"
#include "app/tail.h"
#include "app/verify.h"

namespace millrace {

/// sysexits.h's EX_CONFIG: a bad configuration file, or settings that cannot be.
inline constexpr int exit_bad_config = 78;
inline constexpr int exit_usage = 2;

/// Nothing to run: help, version, --print-config, or an error.
struct print_and_exit {
  std::string text;
  int exit_code = 0;  ///< not 0: the text is an error, for standard error
};

using command = std::variant<print_and_exit, serve_options, produce_options, stream_options,
                             tail_options, verify_options, doctor_options, bench_options>;

/// Flags win over MILLRACE_* variables, those over the configuration file, that over defaults.
command parse_command_line(int argc, const char* const* argv);

}  // namespace millrace
