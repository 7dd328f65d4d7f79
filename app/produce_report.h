#pragma once
/// What `millrace produce` tells while it runs and when it is done.
#include <cstdint>
#include <ostream>
#include <string>

#include "base/histogram.h"
#include "ingest/producer.h"

namespace millrace {

/// How far a run is.
struct produce_progress {
  std::uint64_t records_read = 0;     ///< taken from the input and given to the producer
  std::uint64_t bytes_read = 0;       ///< key and data of those
  std::uint64_t records_settled = 0;  ///< with an outcome
  double part_done = -1;              ///< of the input, 0 to 1; below 0: not known
};

/// One thread.
class produce_report {
 public:
  produce_report(std::ostream& out, bool is_terminal, std::uint64_t start_us)
      : out_(out), is_terminal_(is_terminal), start_us_(start_us), last_us_(start_us) {}

  /// A new line of progress; on a terminal it takes the place of the last.
  void show(const produce_progress& now, const producer_statistics& statistics,
            std::uint64_t now_us);
  /// Takes the moving line away, so that something else can be written.
  void clear();

 private:
  std::ostream& out_;
  bool is_terminal_;
  bool is_shown_ = false;
  std::uint64_t start_us_;
  std::uint64_t last_us_;
  produce_progress last_;
};

struct produce_summary {
  produce_progress progress;
  producer_statistics statistics;
  std::uint64_t records_skipped = 0;  ///< in the log already, from an earlier run
  std::uint64_t records_bad = 0;
  std::uint64_t records_refused = 0;
  double seconds = 0;
  std::string identity;  ///< empty over HTTP, which knows none
};

void print(std::ostream& out, const produce_summary& summary, const histogram& latency_us);

/// "850 us", "12.3 ms", "4.21 s".
std::string duration_text(std::uint64_t us);
/// "812", "45.1 k", "3.20 M".
std::string count_text(double count);

}  // namespace millrace
