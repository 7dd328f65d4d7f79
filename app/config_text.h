#pragma once
/// What the readers of the configuration file share.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace millrace {

/// `invalid_argument`, "millrace.toml:7: message".
error config_error(std::string_view source, std::uint32_t line, std::string_view message);
/// "unknown key 'udpp'; did you mean 'udp'?"
std::string unknown_key(std::string_view key, std::span<const std::string_view> known);
/// A TOML basic string.
std::string toml_quoted(std::string_view text);

}  // namespace millrace
