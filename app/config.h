#pragma once
/// The configuration file of `millrace serve`: TOML, one key a setting (serve_options.h), and a
/// table [[view]] for each continuous view (view_config.h).
#include <string>
#include <string_view>

#include "app/serve_options.h"
#include "base/error.h"

namespace millrace {

/// Reads `text` into `options`. `invalid_argument` names `source`, line and key of what is wrong:
/// syntax, an unknown key (with the nearest known one), a value of the wrong kind.
status load_config(std::string_view text, std::string_view source, serve_options& options);

/// The same from a file.
status load_config_file(const std::string& path, serve_options& options);

/// Sets what MILLRACE_* variables say; an unknown MILLRACE_ name is no error, other programs of
/// ours have theirs.
status load_environment(serve_options& options);

}  // namespace millrace
