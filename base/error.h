#pragma once
/// Errors as values. Nothing throws across a module's face; a `result` or `status` that is dropped
/// does not compile. Each hop adds its context, so that a message reads as a trail:
/// "stream 'orders': segment 3: write of 1048576 bytes: No space left on device".
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace millrace {

/// What kind of thing went wrong, for callers that decide by it; the message is for people.
enum class error_code : unsigned char {
  invalid_argument,  ///< the caller's value is not acceptable; the message names value and limit
  not_found,         ///< no such stream, shard, file, …
  already_exists,
  exhausted,     ///< a limit of limits.h or of the configuration is reached
  storage_full,  ///< the disk, or the stream's byte retention, has no room
  io,            ///< the operating system refused; the message ends with its reason
  corrupt,       ///< stored or received bytes are damaged
  fenced,        ///< a newer epoch of the same producer exists
  unavailable,   ///< not now: shutting down, or the peer does not answer
  timed_out,
  permission,
  unsupported,  ///< this build or this machine cannot
};

/// The code's name as it appears in logs and JSON: "invalid_argument", "not_found", …
std::string_view to_string(error_code code);

class [[nodiscard]] error {
 public:
  error(error_code code, std::string message) : message_(std::move(message)), code_(code) {}

  /// An `io` error (or `storage_full` for ENOSPC and EDQUOT) from an errno value.
  static error from_errno(int errno_value, std::string_view what);

  error_code code() const { return code_; }
  const std::string& message() const { return message_; }

  /// The same error with "context: " before its message.
  error with_context(std::string_view context) &&;

 private:
  std::string message_;
  error_code code_;
};

/// A value or an error.
template <class Value>
class [[nodiscard]] result {
 public:
  result(Value value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(error failure) : state_(std::in_place_index<1>, std::move(failure)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  Value& operator*() & { return value(); }
  const Value& operator*() const& { return value(); }
  Value&& operator*() && { return std::move(value()); }
  Value* operator->() { return &value(); }
  const Value* operator->() const { return &value(); }

  const error& failure() const& {
    MILLRACE_CHECK(!ok(), "failure() of a result that holds a value");
    return std::get<1>(state_);
  }
  error&& failure() && {
    MILLRACE_CHECK(!ok(), "failure() of a result that holds a value");
    return std::get<1>(std::move(state_));
  }

 private:
  Value& value() {
    MILLRACE_CHECK(ok(), "value of a result that holds an error");
    return std::get<0>(state_);
  }
  const Value& value() const {
    MILLRACE_CHECK(ok(), "value of a result that holds an error");
    return std::get<0>(state_);
  }
  std::variant<Value, error> state_;
};

/// Nothing to return but success, or an error.
class [[nodiscard]] status : public result<std::monostate> {
 public:
  status() : result(std::monostate{}) {}
  status(error failure) : result(std::move(failure)) {}
};

}  // namespace millrace

/// Returns the error of `expression` (a status or a result) from the enclosing function.
#define MILLRACE_TRY(expression)                                \
  do {                                                          \
    if (auto millrace_try_ = (expression); !millrace_try_.ok()) \
      return std::move(millrace_try_).failure();                \
  } while (false)

#define MILLRACE_CONCAT_2(a, b) a##b
#define MILLRACE_CONCAT(a, b) MILLRACE_CONCAT_2(a, b)
/// `MILLRACE_ASSIGN(auto x, f())`: declares x from a result's value, or returns its error.
#define MILLRACE_ASSIGN(declaration, expression) \
  MILLRACE_ASSIGN_2(MILLRACE_CONCAT(millrace_result_, __LINE__), declaration, expression)
#define MILLRACE_ASSIGN_2(name, declaration, expression) \
  auto name = (expression);                              \
  if (!name.ok()) return std::move(name).failure();      \
  declaration = *std::move(name)
