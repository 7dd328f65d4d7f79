#include "app/tail.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include <fmt/format.h>

#include "api/record_lines.h"
#include "app/admin_client.h"

namespace millrace {
namespace {

constexpr std::uint64_t page_records = 5000;
constexpr std::uint64_t wait_ms = 20'000;
/// A longer cursor does not fit a request's target and goes into its body.
constexpr std::size_t target_cursor_chars_max = 4000;

class tail {
 public:
  tail(const tail_options& options, admin_client client)
      : options_(options), client_(std::move(client)) {}

  status run() {
    std::string cursor;
    for (bool first = true;; first = false) {
      MILLRACE_ASSIGN(const std::string body, first ? first_page() : next_page(cursor));
      MILLRACE_ASSIGN(const record_line end, print(body));
      if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
        return error(error_code::io, "standard output cannot be written");
      if (is_full() || (end.caught_up && !options_.follow)) return {};
      cursor = end.cursor;
      // Only where there was nothing more is it worth to wait.
      wait_ = options_.follow && end.caught_up;
    }
  }

 private:
  bool is_full() const { return options_.limit > 0 && printed_ >= options_.limit; }

  std::string query() const {
    const std::uint64_t left =
        options_.limit == 0 ? page_records : std::min(page_records, options_.limit - printed_);
    return fmt::format("{}/records?limit={}", stream_path(options_.stream), left);
  }

  result<std::string> first_page() {
    std::string target = query() + "&from=" + percent_encode(options_.from);
    if (!options_.shard.empty()) target += "&shard=" + percent_encode(options_.shard);
    return client_.get(target);
  }

  result<std::string> next_page(const std::string& cursor) {
    std::string target = query();
    if (wait_) target += fmt::format("&wait_ms={}", wait_ms);
    if (cursor.size() > target_cursor_chars_max) return client_.post_read(target, cursor);
    return client_.get(target + "&cursor=" + percent_encode(cursor));
  }

  /// Prints the records of a page and returns its last line, the cursor.
  result<record_line> print(std::string_view body) {
    const bool raw = options_.format == "raw";
    while (!body.empty()) {
      const std::size_t end = body.find('\n');
      if (end == std::string_view::npos) break;
      const std::string_view line = body.substr(0, end);
      body.remove_prefix(end + 1);
      MILLRACE_ASSIGN(const record_line parsed, parse_record_line(line, raw));
      if (parsed.is_cursor) return parsed;
      std::vector<record_part> parts;
      if (options_.deaggregate) {
        MILLRACE_ASSIGN(parts, split_record_line(line));
      }
      for (const record_part& one : parts)
        print_one(raw ? one.data : one.line);
      if (parts.empty()) print_one(raw ? std::string_view(parsed.data) : line);
    }
    return error(error_code::io, "the server's answer ends too early");
  }

  /// Those within a record may be more than are left to print.
  void print_one(std::string_view text) {
    if (is_full()) return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fputc('\n', stdout);
    ++printed_;
  }

  const tail_options options_;
  admin_client client_;
  std::uint64_t printed_ = 0;
  bool wait_ = false;
};

}  // namespace

int run_tail(const tail_options& options) {
  const auto run = [&]() -> status {
    if (!options.view.empty()) return tail_view(options);
    MILLRACE_ASSIGN(admin_client client, admin_client::create(options.admin));
    return tail(options, std::move(client)).run();
  };
  if (auto outcome = run(); !outcome.ok()) {
    fmt::print(stderr, "millrace tail: {}\n", outcome.failure().message());
    return outcome.failure().code() == error_code::invalid_argument ? 2 : 1;
  }
  return 0;
}

}  // namespace millrace
