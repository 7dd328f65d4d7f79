#include "app/produce_report.h"

#include <algorithm>
#include <cstdio>

namespace millrace {
namespace {

constexpr int bar_width = 24;

template <class... Values>
std::string text(const char* format, Values... values) {
  char line[256];
  std::snprintf(line, sizeof line, format, values...);
  return line;
}

std::string bar(double part) {
  const int filled = static_cast<int>(std::clamp(part, 0.0, 1.0) * bar_width);
  std::string drawn = "[" + std::string(static_cast<std::size_t>(filled), '=');
  if (filled < bar_width) drawn += '>';
  drawn.resize(bar_width + 1, ' ');
  return drawn + text("] %3.0f %%  ", part * 100);
}

}  // namespace

std::string duration_text(std::uint64_t us) {
  if (us < 1'000) return std::to_string(us) + " us";
  const auto value = static_cast<double>(us);
  if (us < 1'000'000) return text(us < 100'000 ? "%.2f ms" : "%.0f ms", value / 1e3);
  return text("%.2f s", value / 1e6);
}

std::string count_text(double count) {
  if (count < 1e4) return text("%.0f", count);
  if (count < 1e6) return text("%.1f k", count / 1e3);
  return text("%.2f M", count / 1e6);
}

void produce_report::show(const produce_progress& now, const producer_statistics& statistics,
                          std::uint64_t now_us) {
  const double seconds = static_cast<double>(std::max<std::uint64_t>(now_us - last_us_, 1)) / 1e6;
  const auto settled = static_cast<double>(now.records_settled - last_.records_settled);
  const auto bytes = static_cast<double>(now.bytes_read - last_.bytes_read);
  std::string line;
  if (is_terminal_ && now.part_done >= 0) line += bar(now.part_done);
  line += count_text(static_cast<double>(now.records_settled)) + " durable, " +
          count_text(static_cast<double>(now.records_read - now.records_settled)) + " waiting  " +
          count_text(settled / seconds) + " records/s  " +
          text("%.1f MB/s", bytes / seconds / 1e6) + "  rtt " + duration_text(statistics.rtt_us);
  if (now.part_done > 0.005 && now.part_done < 1) {
    const double passed = static_cast<double>(now_us - start_us_) / 1e6;
    line += text("  %.0f s left", passed * (1 - now.part_done) / now.part_done);
  }
  if (statistics.storage_blocked) line += "  (the server cannot write its log now)";
  out_ << (is_terminal_ ? "\r\x1b[K" : "") << line << (is_terminal_ ? "" : "\n") << std::flush;
  is_shown_ = is_terminal_;
  last_ = now;
  last_us_ = now_us;
}

void produce_report::clear() {
  if (is_shown_) out_ << "\r\x1b[K" << std::flush;
  is_shown_ = false;
}

void print(std::ostream& out, const produce_summary& summary, const histogram& latency_us) {
  const double seconds = std::max(summary.seconds, 1e-6);
  const produce_progress& done = summary.progress;
  out << "sent      " << done.records_read << " records, " << done.bytes_read << " bytes in "
      << text("%.2f s: ", summary.seconds)
      << count_text(static_cast<double>(done.records_read) / seconds) << " records/s, "
      << text("%.1f MB/s\n", static_cast<double>(done.bytes_read) / seconds / 1e6);
  if (summary.records_skipped > 0) {
    out << "skipped   " << summary.records_skipped << " records that the log had already\n";
  }
  out << "durable   " << done.records_settled - summary.records_refused << " records\n";
  if (summary.records_refused > 0) out << "refused   " << summary.records_refused << " records\n";
  if (summary.records_bad > 0) out << "bad       " << summary.records_bad << " input records\n";
  if (latency_us.count() > 0) {
    out << "ack       p50 " << duration_text(latency_us.quantile(0.5)) << ", p90 "
        << duration_text(latency_us.quantile(0.9)) << ", p99 "
        << duration_text(latency_us.quantile(0.99)) << ", p99.9 "
        << duration_text(latency_us.quantile(0.999)) << ", max " << duration_text(latency_us.max())
        << "\n";
  }
  const producer_statistics& statistics = summary.statistics;
  if (summary.identity.empty()) {
    out << "network   " << statistics.requests_sent << " requests, " << statistics.records_resent
        << " records sent again, rtt " << duration_text(statistics.rtt_us) << std::endl;
    return;
  }
  out << "network   " << statistics.datagrams_sent << " datagrams of up to "
      << statistics.datagram_bytes << " bytes, " << statistics.datagrams_resent << " sent again, "
      << statistics.reconnects << " reconnects, rtt " << duration_text(statistics.rtt_us) << "\n";
  out << "producer  " << summary.identity << std::endl;
}

}  // namespace millrace
