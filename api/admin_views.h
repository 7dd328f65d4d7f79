#pragma once
/// /v1/views of the admin port: continuous views, their windows, and these as they close.
#include <string>
#include <string_view>

#include "analytics/view_service.h"
#include "api/http_message.h"
#include "api/metrics_text.h"
#include "shards/pipeline.h"

namespace millrace {

/// Thread-safe; holds nothing.
class admin_views {
 public:
  /// `views` may be null: there are none. Both outlive this.
  admin_views(const view_service* views, pipeline& streams) : views_(views), streams_(streams) {}

  /// `rest`: the path behind "/v1/views", "" or "/NAME" or "/NAME/stream".
  http_response handle(const http_request& request, std::string_view rest) const;
  void write_metrics(metrics_text& out) const;
  /// "view 'x': the device is lost; it goes on on the CPU"
  std::vector<std::string> faults() const;

 private:
  result<http_response> list() const;
  result<http_response> read(const http_request& request, std::string name) const;
  result<http_response> read_late(const view_status& view, std::uint32_t rows_max) const;
  result<http_response> stream(const http_request& request, const std::string& name) const;
  void write_windows(metrics_text& out, const view_status& view) const;

  const view_service* views_;
  pipeline& streams_;
};

}  // namespace millrace
