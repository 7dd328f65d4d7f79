#pragma once
/// One thread's door of the Kinesis port: requests become batches for the pipeline, or calls for
/// the workers, and are answered when those come back.
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/http_gate.h"
#include "api/kinesis_actions.h"
#include "api/put_answers.h"
#include "api/worker_pool.h"
#include "base/counters.h"
#include "base/waker.h"
#include "ingest/batch_filler.h"

namespace millrace {

struct kinesis_door_options {
  batch_filler_options batches;
  bool check_host = true;                    ///< no credentials: only for who names this machine
  std::uint64_t answer_us_max = 30'000'000;  ///< a Put that is not durable by then is told 503
};

/// What doors share; all outlive them.
struct kinesis_door_parts {
  const kinesis_service& service;
  batch_sink& sink;
  worker_pool& workers;
};

class kinesis_door final : public http_agent {
 public:
  kinesis_door(const kinesis_door_parts& parts, const kinesis_door_options& options);
  ~kinesis_door() override;

  bool admit(http_exchange& exchange, std::uint64_t body_bytes) override;
  void handle(std::shared_ptr<http_exchange> exchange) override;
  int do_work(std::uint64_t now_us) override;
  std::uint64_t next_due_us() const override;
  bool has_work() const override;
  waker& wake() override { return waker_; }
  bool drain(std::uint64_t now_us) override;
  void abandon() override;

  const counter_set& counters() const { return counters_; }

 private:
  /// What a worker did for a request that waits here.
  struct finished_call {
    std::uint64_t id = 0;
    kinesis_outcome failure;
    std::string body;
  };

  void call(std::shared_ptr<http_exchange> exchange, const kinesis_action& action,
            wire_encoding encoding);
  int answer_calls();
  void set_gauges(std::uint64_t now_us);

  const kinesis_door_parts parts_;
  const kinesis_door_options options_;
  counter_set counters_;
  waker waker_;
  batch_filler filler_;
  std::unique_ptr<put_answers> puts_;

  struct waiting_call {
    std::shared_ptr<http_exchange> exchange;
    wire_encoding encoding = wire_encoding::json;
  };
  std::unordered_map<std::uint64_t, waiting_call> calls_;
  std::uint64_t next_call_ = 1;
  std::uint64_t next_gauges_us_ = 0;

  mutable std::mutex inbox_mutex_;
  std::vector<finished_call> inbox_;  // filled by workers
  std::vector<finished_call> taken_;
};

/// Writes an answer of Kinesis: 200 with a body, or an error.
void answer_kinesis(http_exchange& exchange, wire_encoding encoding, std::string body);
void answer_kinesis(http_exchange& exchange, wire_encoding encoding, const kinesis_error& failure);

}  // namespace millrace
