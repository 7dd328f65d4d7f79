#pragma once
/// The admin port: health, metrics, streams and their records. Reading is open to whoever reaches
/// the port (loopback, unless told otherwise); changing anything takes the token of the data
/// directory. docs/operations.md lists the paths.
#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "api/admin_views.h"
#include "api/http_message.h"
#include "api/http_server.h"
#include "api/metrics_text.h"
#include "base/counters.h"
#include "ingest/packet_source.h"
#include "shards/pipeline.h"

namespace millrace {

/// The token in `<directory>/admin.token`, made (random, readable by the owner only) when missing.
result<std::string> load_or_make_admin_token(const std::string& directory);
/// The token as a client on the same machine reads it.
result<std::string> read_admin_token(const std::string& directory);

/// A packet source's own counters, for /metrics.
struct source_report {
  std::string source;
  std::vector<source_statistic> statistics;
};

/// What the admin port shows; all outlive it.
struct admin_parts {
  pipeline& streams;
  const counter_registry& counters;
  std::function<std::vector<source_report>()> sources;  ///< thread-safe
  std::string token;
  std::string version;
  bool is_loopback = true;              ///< then only Host headers of this machine are let in
  const view_service* views = nullptr;  ///< null: there are none
  std::function<void(metrics_text&)> more_metrics{};  ///< thread-safe; of other ports
};

class admin {
 public:
  explicit admin(admin_parts parts)
      : parts_(std::move(parts)), views_(parts_.views, parts_.streams) {}

  /// Answers any request. Thread-safe; may block for as long as the pipeline does.
  http_response handle(const http_request& request);
  /// From now on /readyz says 503.
  void begin_stopping() { is_stopping_.store(true, std::memory_order_relaxed); }
  /// For /metrics, once it runs.
  void attach(const http_server& server) { server_.store(&server, std::memory_order_release); }

 private:
  http_response route(const http_request& request);
  http_response ready();
  http_response metrics();
  http_response streams(const http_request& request);
  http_response one_stream(const http_request& request, const std::string& name,
                           std::string_view action);
  http_response records(const http_request& request, const std::string& name);
  status change(const http_request& request, const std::string& name, std::string_view action);
  bool is_permitted(const http_request& request) const;

  const admin_parts parts_;
  const admin_views views_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<const http_server*> server_{nullptr};
};

}  // namespace millrace
