#include "api/http_cors.h"

#include <algorithm>

namespace millrace {
namespace {

bool is_allowed(const std::vector<std::string>& origins, const gate_request& request) {
  if (origins.empty()) return false;
  const std::string_view origin = request.header("Origin");
  return !origin.empty() && std::find(origins.begin(), origins.end(), origin) != origins.end();
}

}  // namespace

void add_cors(const std::vector<std::string>& origins, const gate_request& request,
              http_fields& headers) {
  if (!is_allowed(origins, request)) return;
  headers.emplace_back("Access-Control-Allow-Origin", request.header("Origin"));
  headers.emplace_back("Access-Control-Expose-Headers", "x-amzn-RequestId, x-amz-id-2");
  headers.emplace_back("Vary", "Origin");
}

bool is_preflight(const std::vector<std::string>& origins, const gate_request& request) {
  return request.method == "OPTIONS" && is_allowed(origins, request);
}

gate_answer preflight_answer() {
  return {.status = 200,
          .content_type = "text/plain",
          .headers = {{"Access-Control-Allow-Methods", "POST"},
                      // What AWS' SDKs send from a browser, and our own.
                      {"Access-Control-Allow-Headers",
                       "authorization, content-type, x-amz-target, x-amz-date, "
                       "x-amz-security-token, x-amz-content-sha256, x-amz-user-agent, "
                       "amz-sdk-invocation-id, amz-sdk-request, x-millrace-wait-ms"},
                      {"Access-Control-Max-Age", "3600"}},
          .body = {}};
}

bool is_origin(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::string_view name = text.substr(0, scheme);
  const std::string_view host = text.substr(scheme + 3);
  return (name == "http" || name == "https") && !host.empty() &&
         host.find_first_of("/?#@* \t\",") == std::string_view::npos;
}

}  // namespace millrace
