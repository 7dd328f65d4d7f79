#pragma once
/// Errors as Kinesis' clients see them.
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace millrace {

struct kinesis_error {
  std::string_view name;  ///< "ResourceNotFoundException": a literal
  std::string message;
  unsigned status = 400;
};

/// Nothing, or what went wrong.
using kinesis_outcome = std::optional<kinesis_error>;

inline kinesis_error serialization_error(std::string message) {
  return {"SerializationException", std::move(message)};
}
inline kinesis_error invalid_argument(std::string message) {
  return {"InvalidArgumentException", std::move(message)};
}
inline kinesis_error not_found(std::string message) {
  return {"ResourceNotFoundException", std::move(message)};
}
inline kinesis_error in_use(std::string message) {
  return {"ResourceInUseException", std::move(message)};
}
inline kinesis_error limit_exceeded(std::string message) {
  return {"LimitExceededException", std::move(message)};
}
inline kinesis_error unavailable(std::string message) {
  return {"ServiceUnavailable", std::move(message), 503};
}

/// What an error of the pipeline or the catalog is to a client.
kinesis_error translate(const error& failure);

/// The violations of one request, up to ten, as Kinesis lists them.
class violation_list {
 public:
  /// `value` as "'x'" or "null", or empty: then only the member is named.
  void add(std::string_view value, std::string_view member, std::string_view constraint);
  std::size_t count() const { return count_; }
  kinesis_outcome outcome() const;

 private:
  std::string text_;
  std::size_t count_ = 0;
};

/// Returns from a function whose result is a kinesis_outcome when there is an error.
#define MILLRACE_KINESIS_TRY(expression)                                                    \
  do {                                                                                      \
    if (auto millrace_outcome_ = (expression); millrace_outcome_) return millrace_outcome_; \
  } while (false)

}  // namespace millrace
