#pragma once
/// Answers that all handlers of the admin port give.
#include <cstdint>
#include <string>
#include <string_view>

#include "api/http_message.h"
#include "base/error.h"

namespace millrace {

unsigned http_status_of(error_code code);
http_response answer(unsigned status, std::string body);
/// An error as JSON, with the status of its code.
http_response refuse(const error& failure);
/// 405; `allowed`: "GET, POST".
http_response not_allowed(std::string_view allowed);
http_response no_such_path();

/// A query parameter that is a whole number up to `max`; without it `otherwise`.
result<std::uint64_t> number_parameter(const http_request& request, std::string_view name,
                                       std::uint64_t otherwise, std::uint64_t max);

}  // namespace millrace
