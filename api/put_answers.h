#pragma once
/// Put requests between their decoding and their answer: their records go into the door's batches,
/// and each answer is written, in the order of its records, as the batches come back.
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "api/http_gate.h"
#include "api/kinesis_service.h"
#include "api/put_request.h"
#include "base/counters.h"
#include "ingest/batch_filler.h"

namespace millrace {

/// On its door's thread.
class put_answers final : public batch_observer, public buffer_owner {
 public:
  put_answers(const kinesis_service& service, batch_sink& sink, batch_filler& filler,
              counter_set& counters, std::uint64_t answer_us_max);
  ~put_answers();

  /// Takes over the request and its body.
  void handle(std::shared_ptr<http_exchange> exchange, wire_encoding encoding, bool many,
              credential_pointer who, std::uint64_t now_us);
  /// Appends what found no room before. Returns how much it did.
  int do_work(std::uint64_t now_us);
  bool is_empty() const { return in_use_ == 0; }
  bool has_waiting() const { return !waiting_.empty(); }
  /// Lets every client go; what is in batches stays until they come back.
  void abandon();

  void batch_finished(const record_batch& batch, std::uint64_t now_us) override;
  void release(std::uint64_t value) override;

 private:
  struct pending;

  pending& take_slot();
  void free_slot(pending& one);
  kinesis_outcome prepare(pending& one);
  void apply_quotas(pending& one, const named_stream& stream, std::uint64_t now_us);
  void add_throttled(pending& one);
  /// True when all its records are in batches.
  bool append(pending& one, std::uint64_t now_us);
  void add_results(pending& one, const record_batch& batch, std::size_t first,
                   const batch_entry& entry);
  void add_failures(pending& one, std::uint32_t count, outcome why);
  void finish(pending& one);
  void refuse(pending& one, const kinesis_error& failure);
  void expire(std::uint64_t now_us);

  const kinesis_service& service_;
  batch_sink& sink_;
  batch_filler& filler_;
  counter_set& counters_;
  const std::uint64_t answer_us_max_;
  std::uint32_t owner_ = 0;
  std::vector<std::unique_ptr<pending>> slots_;  // by owner tag
  std::vector<std::uint32_t> free_;
  std::deque<std::uint32_t> waiting_;  // not wholly in batches, oldest first
  std::uint32_t in_use_ = 0;
  std::uint64_t next_expiry_us_ = 0;
};

}  // namespace millrace
