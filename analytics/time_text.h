#pragma once
/// Times and durations as people write them.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace millrace {

/// Microseconds since 1970 as RFC 3339 in UTC: "2026-01-31T12:00:00Z", with three or six decimals
/// where there are some. Years beyond 9999 get a sign and the digits they need (ISO 8601).
std::string instant_text(std::int64_t time_us);
/// RFC 3339: 2026-01-31T12:00:00[.decimals](Z|+01:00), also with a space for the T. Nothing when it
/// is none, or no date of the calendar. A leap second is the second after it.
std::optional<std::int64_t> parse_instant(std::string_view text);

/// "250ms", "5s", "1m30s": a sum of whole or decimal numbers, each with its unit: us, ms, s, m, h,
/// d. At least 0. `invalid_argument` names `what`.
result<std::int64_t> parse_duration(std::string_view what, std::string_view text);
/// The shortest text with one unit that parse_duration() reads back as the same: "90s", "250ms".
std::string duration_text(std::int64_t duration_us);

}  // namespace millrace
