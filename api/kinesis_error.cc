#include "api/kinesis_error.h"

#include <fmt/format.h>

namespace millrace {

kinesis_error translate(const error& failure) {
  switch (failure.code()) {
    case error_code::invalid_argument:
      return invalid_argument(failure.message());
    case error_code::not_found:
      return not_found(failure.message());
    case error_code::already_exists:
    case error_code::fenced:
      return in_use(failure.message());
    case error_code::exhausted:
      return limit_exceeded(failure.message());
    case error_code::permission:
      return {"AccessDeniedException", failure.message()};
    case error_code::unavailable:
    case error_code::timed_out:
    case error_code::storage_full:
      return unavailable(failure.message());
    case error_code::io:
    case error_code::corrupt:
    case error_code::unsupported:
      return {"InternalFailure", failure.message(), 500};
  }
  return {"InternalFailure", failure.message(), 500};
}

void violation_list::add(std::string_view value, std::string_view member,
                         std::string_view constraint) {
  constexpr std::size_t listed_max = 10;
  if (++count_ > listed_max) return;
  if (count_ > 1) text_ += "; ";
  text_ +=
      fmt::format("Value {}at '{}' failed to satisfy constraint: {}",
                  value.empty() ? std::string() : std::string(value) + ' ', member, constraint);
}

kinesis_outcome violation_list::outcome() const {
  if (count_ == 0) return std::nullopt;
  return kinesis_error{"ValidationException", fmt::format("{} validation error{} detected: {}",
                                                          count_, count_ == 1 ? "" : "s", text_)};
}

}  // namespace millrace
