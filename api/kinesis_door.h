#pragma once
/// One thread's door of the Kinesis port: requests become batches for the pipeline, or calls for
/// the workers, and are answered when those come back.
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/credentials.h"
#include "api/http_gate.h"
#include "api/kinesis_actions.h"
#include "api/kinesis_fanout.h"
#include "api/kinesis_waits.h"
#include "api/log_news.h"
#include "api/put_answers.h"
#include "api/sigv4.h"
#include "api/worker_pool.h"
#include "base/counters.h"
#include "base/waker.h"
#include "ingest/batch_filler.h"

namespace millrace {

struct kinesis_door_options {
  batch_filler_options batches;
  bool check_host = true;                    ///< no credentials: only for who names this machine
  std::size_t waits_max = 4096;              ///< GetRecords that wait for records; more do not wait
  std::uint64_t answer_us_max = 30'000'000;  ///< a Put that is not durable by then is told 503
};

/// What doors share; all outlive them.
struct kinesis_door_parts {
  const kinesis_service& service;
  batch_sink& sink;
  worker_pool& workers;
  subscription_book& subscriptions;
  const credential_store* credentials = nullptr;  ///< null: every signature is good
  /// Bytes of answers that clients have not taken: http_gate_options::unsent.
  const std::atomic<std::uint64_t>& unsent;
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
  void dispatch(std::shared_ptr<http_exchange> exchange, const kinesis_action& action,
                wire_encoding encoding, credential_pointer who);
  void call(std::shared_ptr<http_exchange> exchange, const kinesis_action& action,
            wire_encoding encoding, credential_pointer who);
  /// Has a worker carry the call out. False: too many wait.
  bool run_call(std::uint64_t id);
  struct call_answer;
  void answer_call(std::uint64_t id, call_answer& answer);
  void look_after_waits(std::uint64_t now_us);
  void start_stream(std::uint64_t id, const kinesis_outcome& failure,
                    const subscription_start& start);
  kinesis_outcome authorize(const gate_request& request, const kinesis_action& action,
                            credential_pointer& who);
  void take_new_credentials();
  /// Runs `what` on this thread, soon. Thread-safe.
  void post_back(std::function<void()> what);
  int run_posted();

  const kinesis_door_parts parts_;
  const kinesis_door_options options_;
  counter_set counters_;
  waker waker_;
  batch_filler filler_;
  std::unique_ptr<put_answers> puts_;
  log_news news_{waker_};
  std::unique_ptr<kinesis_fanout> fanout_;
  kinesis_waits waits_;
  std::uint64_t keys_version_ = 0;  // of the store
  std::shared_ptr<const credential_set> keys_;
  std::optional<sigv4_verifier> verifier_;  // of keys_

  struct waiting_call {
    std::shared_ptr<http_exchange> exchange;
    wire_encoding encoding = wire_encoding::json;
    const kinesis_action* action = nullptr;
    credential_pointer who;
    std::shared_ptr<const wire_value> input;
    std::uint64_t wait_until_us = 0;  // for records, when there are none; 0: not at all
  };
  std::unordered_map<std::uint64_t, waiting_call> calls_;
  std::uint64_t next_call_ = 1;
  bool is_draining_ = false;
  std::uint64_t next_gauges_us_ = 0;

  mutable std::mutex inbox_mutex_;
  std::vector<std::function<void()>> inbox_;  // filled by workers
  std::vector<std::function<void()>> taken_;
};

/// Writes an answer of Kinesis: 200 with a body, or an error.
void answer_kinesis(http_exchange& exchange, wire_encoding encoding, std::string body);
void answer_kinesis(http_exchange& exchange, wire_encoding encoding, const kinesis_error& failure);
/// Begins an answer that is an event stream.
void begin_kinesis_stream(http_exchange& exchange);

}  // namespace millrace
