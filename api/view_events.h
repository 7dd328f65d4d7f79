#pragma once
/// A view's emissions as server-sent events (the WHATWG HTML standard, "Server-sent events"), one
/// piece after the other. An emission is an event, or several when it is large; the last of them
/// carries its ordinal as the event's id, so that a client that comes back with it goes on after
/// it.
///
///   id: 17
///   event: windows
///   data: {"ordinal":17,"watermark":"2026-01-31T12:00:05Z","part":0,"last":true,"rows":[…]}
///
/// "gap": emissions were dropped by retention before this client took them. "fault": the view
/// cannot be read; the stream ends.
#include <cstdint>
#include <optional>
#include <string>

#include "analytics/view_rows.h"
#include "analytics/view_service.h"
#include "api/http_message.h"

namespace millrace {

class view_events {
 public:
  struct options {
    std::uint64_t from = 0;                    ///< ordinal of the first emission
    bool follow = true;                        ///< else it ends where there is nothing more
    std::uint64_t keep_alive_us = 15'000'000;  ///< a comment after so long without an event
  };
  /// `views` outlives this.
  view_events(const view_service& views, const view_plan& plan, const options& wanted);

  /// At most about 64 KiB. Never waits.
  http_piece next();

 private:
  bool take_emissions(std::string& out);
  void append_part(std::string& out);

  const view_service& views_;
  const std::string name_;
  const view_columns columns_;
  const options options_;
  std::vector<emission> waiting_;  ///< the first is being sent
  std::size_t row_ = 0;            ///< of it
  std::uint32_t part_ = 0;
  std::uint64_t next_;
  std::uint64_t last_sent_us_;
};

}  // namespace millrace
