#include <algorithm>
#include <cstdio>
#include <vector>

#include <fmt/format.h>

#include "api/event_reader.h"
#include "app/admin_client.h"
#include "app/tail.h"

namespace millrace {
namespace {

/// Rows in columns. The head is shown again when a column had to grow.
class table_printer {
 public:
  void print(const event_row& row) {
    bool grew = widths_.empty();
    widths_.resize(row.cells.size(), 0);
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      const auto& [name, value] = row.cells[i];
      const std::size_t needed = std::max(name.size(), value.size());
      grew = grew || needed > widths_[i];
      widths_[i] = std::max(widths_[i], needed);
    }
    if (grew) {
      line(row, [](const auto& cell) { return std::string_view(cell.first); });
    }
    line(row, [](const auto& cell) { return std::string_view(cell.second); });
  }

 private:
  template <class Text>
  void line(const event_row& row, Text&& text_of) const {
    std::string out;
    for (std::size_t i = 0; i < row.cells.size(); ++i)
      out += fmt::format("{:<{}}  ", text_of(row.cells[i]), widths_[i]);
    out.erase(out.find_last_not_of(' ') + 1);
    out += '\n';
    std::fwrite(out.data(), 1, out.size(), stdout);
  }

  std::vector<std::size_t> widths_;
};

class view_tail {
 public:
  explicit view_tail(const tail_options& options) : options_(options) {}

  status run() {
    MILLRACE_ASSIGN(admin_client client, admin_client::create(options_.admin));
    const std::string target =
        fmt::format("/v1/views/{}/stream?from={}&follow={}", percent_encode(options_.view),
                    percent_encode(options_.from), options_.follow);
    return client.stream(target, [this](std::string_view bytes) { return take(bytes); });
  }

 private:
  result<bool> take(std::string_view bytes) {
    events_.feed(bytes);
    while (const auto event = events_.next()) {
      if (event->name == "gap")
        fmt::print(stderr, "millrace tail: windows are missing here, no longer kept: {}\n",
                   event->data);
      MILLRACE_ASSIGN(const auto rows, rows_of(*event));
      for (const event_row& row : rows) {
        if (options_.limit > 0 && printed_ == options_.limit) break;
        print(row);
        ++printed_;
      }
    }
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      return error(error_code::io, "standard output cannot be written");
    return options_.limit == 0 || printed_ < options_.limit;
  }

  void print(const event_row& row) {
    if (options_.format == "json") {
      std::fwrite(row.json.data(), 1, row.json.size(), stdout);
      std::fputc('\n', stdout);
    } else {
      table_.print(row);
    }
  }

  const tail_options options_;
  event_reader events_;
  table_printer table_;
  std::uint64_t printed_ = 0;
};

}  // namespace

status tail_view(const tail_options& options) {
  return view_tail(options).run();
}

}  // namespace millrace
