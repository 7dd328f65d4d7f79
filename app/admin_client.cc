#include "app/admin_client.h"

#include <fmt/format.h>

#include "api/admin.h"
#include "api/admin_json.h"
#include "app/parse.h"

namespace millrace {

result<admin_client> admin_client::create(const admin_options& options) {
  MILLRACE_ASSIGN(const host_port where, parse_host_port("--admin", options.admin));
  return admin_client(options, http_client::create(where.host, where.port));
}

result<std::string> admin_client::get(const std::string& target, std::uint64_t timeout_us) {
  http_call what;
  what.target = target;
  what.timeout_us = timeout_us;
  return call(what);
}

result<std::string> admin_client::post_read(const std::string& target, const std::string& body) {
  http_call what;
  what.method = "POST";
  what.target = target;
  what.body = body;
  return call(what);
}

result<std::string> admin_client::change(const std::string& method, const std::string& target,
                                         const std::string& body) {
  std::string token = options_.token;
  if (token.empty()) {
    auto found = read_admin_token(options_.data);
    if (!found.ok())
      return std::move(found).failure().with_context(
          "give the server's --data directory, or --token");
    token = *found;
  }
  http_call what;
  what.method = method;
  what.target = target;
  what.body = body;
  what.headers = {{"Authorization", "Bearer " + token}};
  return call(what);
}

status admin_client::stream(const std::string& target,
                            const std::function<result<bool>(std::string_view)>& take) {
  http_call what;
  what.target = target;
  MILLRACE_TRY(body_of(http_->stream(what, take)));
  return {};
}

result<std::string> admin_client::call(const http_call& what) {
  return body_of(http_->call(what));
}

result<std::string> admin_client::body_of(result<http_reply> reply) {
  if (!reply.ok()) {
    const bool nobody = reply.failure().code() == error_code::unavailable;
    return nobody ? std::move(reply).failure().with_context("is a server running there?")
                  : std::move(reply).failure();
  }
  if (reply->status >= 200 && reply->status < 300) return std::move(reply->body);
  return parse_error_json(reply->body, reply->status);
}

std::string stream_path(const std::string& name) {
  return "/v1/streams/" + percent_encode(name);
}

}  // namespace millrace
