#pragma once
/// The client's side of view_events.h.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace millrace {

struct server_event {
  std::string name;
  std::string data;
};

/// Cuts a stream of bytes into events, wherever the pieces end. Comments are left out.
class event_reader {
 public:
  void feed(std::string_view bytes) { text_ += bytes; }
  /// The next one that is whole.
  std::optional<server_event> next();

 private:
  std::string text_;
  std::size_t at_ = 0;
};

/// A row of a "windows" event.
struct event_row {
  std::string json;                                        ///< one object, in one line
  std::vector<std::pair<std::string, std::string>> cells;  ///< names and values; null is empty
};
/// `io` for what no Millrace sends; the message of a "fault"; no rows for a "gap".
result<std::vector<event_row>> rows_of(const server_event& event);

}  // namespace millrace
