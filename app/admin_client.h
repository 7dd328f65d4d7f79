#pragma once
/// The command line's side of the admin port.
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/http_client.h"
#include "app/stream_command.h"
#include "base/error.h"

namespace millrace {

class admin_client {
 public:
  static result<admin_client> create(const admin_options& options);

  /// The body of a 2xx answer; any other becomes the error that the server named.
  result<std::string> get(const std::string& target, std::uint64_t timeout_us = 60'000'000);
  /// A body that goes on: see http_client::stream().
  status stream(const std::string& target,
                const std::function<result<bool>(std::string_view)>& take);
  /// With a body that is no change: a cursor too long for a target.
  result<std::string> post_read(const std::string& target, const std::string& body);
  /// Carries the admin token.
  result<std::string> change(const std::string& method, const std::string& target,
                             const std::string& body);

 private:
  admin_client(const admin_options& options, std::unique_ptr<http_client> http)
      : options_(options), http_(std::move(http)) {}
  result<std::string> call(const http_call& what);
  static result<std::string> body_of(result<http_reply> reply);

  admin_options options_;
  std::unique_ptr<http_client> http_;
};

/// "/v1/streams/NAME" with the name encoded.
std::string stream_path(const std::string& name);

}  // namespace millrace
