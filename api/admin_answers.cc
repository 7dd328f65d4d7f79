#include "api/admin_answers.h"

#include <charconv>

#include <fmt/format.h>

#include "api/admin_json.h"

namespace millrace {

unsigned http_status_of(error_code code) {
  switch (code) {
    case error_code::invalid_argument:
      return 400;
    case error_code::not_found:
      return 404;
    case error_code::already_exists:
    case error_code::fenced:
      return 409;
    case error_code::exhausted:
      return 429;
    case error_code::storage_full:
      return 507;
    case error_code::unavailable:
      return 503;
    case error_code::timed_out:
      return 504;
    case error_code::permission:
      return 403;
    case error_code::unsupported:
      return 501;
    case error_code::io:
    case error_code::corrupt:
      return 500;
  }
  return 500;
}

http_response answer(unsigned status, std::string body) {
  http_response out;
  out.status = status;
  out.body = std::move(body);
  return out;
}

http_response refuse(const error& failure) {
  return answer(http_status_of(failure.code()), error_json(failure));
}

http_response not_allowed(std::string_view allowed) {
  http_response out = refuse({error_code::invalid_argument, fmt::format("use {}", allowed)});
  out.status = 405;
  out.headers.emplace_back("Allow", allowed);
  return out;
}

http_response no_such_path() {
  return refuse({error_code::not_found, "no such path"});
}

result<std::uint64_t> number_parameter(const http_request& request, std::string_view name,
                                       std::uint64_t otherwise, std::uint64_t max) {
  const auto text = request.parameter(name);
  if (!text) return otherwise;
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (text->empty() || problem != std::errc() || end != text->data() + text->size() || value > max)
    return error(error_code::invalid_argument,
                 fmt::format("{} '{}' is not a number up to {}", name, *text, max));
  return value;
}

}  // namespace millrace
