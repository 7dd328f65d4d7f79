#include "base/record_batch.h"

namespace millrace {

std::string_view to_string(outcome what) {
  switch (what) {
    case outcome::pending:
      return "pending";
    case outcome::committed:
      return "committed";
    case outcome::fenced:
      return "fenced";
    case outcome::out_of_order:
      return "out_of_order";
    case outcome::stream_not_found:
      return "stream_not_found";
    case outcome::producers_exhausted:
      return "producers_exhausted";
    case outcome::shutting_down:
      return "shutting_down";
  }
  return "unknown";
}

void record_batch::advance(batch_state from, batch_state to) {
  const bool was = state_.compare_exchange_strong(from, to, std::memory_order_acq_rel);
  MILLRACE_CHECK(was, "a batch changed hands out of turn");
}

void record_batch::clear() {
  stream = {};
  records.clear();
  entries.clear();
  buffers.clear();
  record_bytes = 0;
  opened_us = 0;
  runs.clear();
  run.clear();
  rank.clear();
  arrival_us = 0;
  is_encrypted = false;
  device = nullptr;
  result = outcome::pending;
}

}  // namespace millrace
