#pragma once
/// HTTP requests and answers as the rest of the program sees them, whatever carries them.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

using http_fields = std::vector<std::pair<std::string, std::string>>;

struct http_request {
  std::string method;
  std::string path;   ///< percent-decoded, without the query
  http_fields query;  ///< percent-decoded, in order
  http_fields headers;
  std::string body;
  /// How long this request has been waiting so far; see http_response::again_after_us.
  std::uint64_t waited_us = 0;

  /// The first header of that name, whatever its case; empty when there is none.
  std::string_view header(std::string_view name) const;
  /// The first parameter of that name.
  std::optional<std::string_view> parameter(std::string_view name) const;
};

/// A part of a body that is made while it is sent.
struct http_piece {
  std::string bytes;                 ///< may be empty: nothing yet
  bool is_last = false;              ///< the body ends with these bytes
  std::uint64_t again_after_us = 0;  ///< ask for the next one no sooner
};

struct http_response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  http_fields headers;
  /// Not 0: there is no answer yet. The handler is called again after so long with `waited_us`
  /// grown; nothing is sent and no thread waits meanwhile. The handler sees to it that this ends.
  std::uint64_t again_after_us = 0;
  /// Where there is one, the body goes on after `body` with what this gives, piece by piece, each
  /// asked for when the one before it has been sent. Called by one thread at a time; holds none
  /// between two calls. Destroyed when the client is gone.
  std::function<http_piece()> more;
};

/// Splits "/a%20b?x=1&y" into path and query; false when an escape is not two hex digits.
[[nodiscard]] bool parse_target(std::string_view target, std::string& path, http_fields& query);
std::string percent_encode(std::string_view text);

}  // namespace millrace
