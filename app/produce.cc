#include "app/produce.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <iostream>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <unistd.h>

#include "app/ack_file.h"
#include "app/produce_report.h"
#include "app/produce_setup.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "ingest/generator.h"
#include "ingest/producer.h"

namespace millrace {
namespace {

constexpr int exit_ok = 0;
constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

constexpr std::uint64_t terminal_period_us = 200'000;
constexpr std::uint64_t plain_period_us = 5'000'000;
constexpr std::uint64_t watch_period_us = 50'000;
constexpr std::uint64_t flush_step_us = 100'000;
/// The clock is read, and the limits are looked at, once in so many records.
constexpr std::uint64_t look_records = 128;
/// Behind a rate limit by more than this, the rest is not made up for.
constexpr double rate_burst_seconds = 0.1;
constexpr std::size_t refusals_shown = 3;

class produce_run {
 public:
  produce_run(const produce_options& options, const produce_surroundings& around)
      : options_(options),
        around_(around),
        start_us_(monotonic_us()),
        report_(around.out, around.out_is_terminal, start_us_) {}

  int run();

 private:
  status open_input();
  status connect(const produce_target& target);
  status send_all();
  result<bool> next(input_record& record);
  status skip_known();
  void wait_for_rate(std::uint64_t sent);
  void settle_rest();
  void on_outcome(const record_outcome& what);
  void watch();
  void watch_once(std::uint64_t now_us, bool show);
  void say_trouble(const producer_statistics& statistics);
  bool is_over(std::uint64_t now_us) const;
  int finish(const status& outcome);
  int complain(const error& why, int code) {
    around_.err << "millrace produce: " << why.message() << std::endl;
    return code;
  }

  const produce_options& options_;
  const produce_surroundings& around_;
  std::uint64_t start_us_;
  producer_id identity_{};
  std::unique_ptr<record_reader> reader_;
  std::unique_ptr<record_generator> generator_;
  std::unique_ptr<ack_file> acks_;
  std::optional<kinesis_producer_options> over_http_;
  std::unique_ptr<producer> producer_;
  std::uint64_t loops_ = 1;
  std::uint64_t taken_ = 0;  ///< good input records, skipped ones included
  std::uint64_t skipped_ = 0;
  std::uint64_t bad_ = 0;
  std::uint64_t own_first_ = 0;
  std::uint64_t rate_from_us_ = 0;  ///< since when the rate is kept, and from which record on
  std::uint64_t rate_from_record_ = 0;

  // Written by one thread, read by others.
  std::atomic<std::uint64_t> records_read_{0};
  std::atomic<std::uint64_t> bytes_read_{0};
  std::atomic<std::uint64_t> records_settled_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> input_read_{0};
  std::atomic<bool> gave_up_{false};
  histogram latency_us_;
  std::mutex refusal_mutex_;
  std::vector<std::string> refusals_;

  std::mutex watch_mutex_;
  std::condition_variable watch_end_;
  bool is_done_ = false;
  std::thread watcher_;
  produce_report report_;
  std::string trouble_shown_;
  std::uint64_t progress_us_ = 0;
  std::uint64_t progress_settled_ = 0;
};

status produce_run::open_input() {
  if (!options_.generate.empty()) {
    MILLRACE_ASSIGN(generator_, record_generator::create({.name = options_.generate,
                                                          .size = options_.size,
                                                          .keys = options_.keys,
                                                          .skew = options_.skew,
                                                          .seed = options_.seed}));
    return {};
  }
  MILLRACE_ASSIGN(reader_, record_reader::open({.path = options_.file,
                                                .format = options_.format,
                                                .key_field = options_.key_field,
                                                .stop = &around_.stop}));
  return {};
}

status produce_run::connect(const produce_target& target) {
  producer_options producing;
  producing.stream = options_.stream;
  producing.buffer_bytes_max = options_.buffer_bytes_max;
  const auto on_outcome = [this](const record_outcome& what) { this->on_outcome(what); };
  if (over_http_) {
    if (!options_.acks_file.empty()) {
      MILLRACE_ASSIGN(acks_, ack_file::open(options_.acks_file, false));
    }
    MILLRACE_ASSIGN(producer_, connect_kinesis_producer(*over_http_, on_outcome));
    return {};
  }
  identity_ = parse_producer_id(options_.producer_id);
  producing.identity = identity_;
  if (!options_.key_file.empty()) {
    MILLRACE_ASSIGN(producing.key, read_key_file(options_.key_file));
  }
  if (!options_.acks_file.empty()) {
    // Only a producer with a lasting identity can go on with the acks of an earlier run.
    MILLRACE_ASSIGN(acks_, ack_file::open(options_.acks_file, !options_.producer_id.empty()));
    producing.wants_results = true;
    producing.results_from = record_number(acks_->next_number());
  }
  MILLRACE_ASSIGN(producer_, producer::connect(target.host, target.port, producing, on_outcome));
  own_first_ = producer_->next_record().value;
  if (acks_ && acks_->next_number() > own_first_) {
    return error(error_code::invalid_argument,
                 "acks file '" + options_.acks_file + "' has record " +
                     std::to_string(acks_->next_number() - 1) +
                     ", but the server knows of this producer only records below " +
                     std::to_string(own_first_) + ": is it another stream's?");
  }
  return {};
}

void produce_run::on_outcome(const record_outcome& what) {
  if (what.durable && acks_) acks_->add(what);
  if (what.number.value < own_first_) return;
  if (what.durable) {
    latency_us_.add(what.latency_us);
  } else {
    if (refused_.load(std::memory_order_relaxed) < refusals_shown) {
      std::lock_guard lock(refusal_mutex_);
      refusals_.push_back("record " + std::to_string(what.number.value) + ": " +
                          std::string(what.reason));
    }
    refused_.store(refused_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  records_settled_.store(records_settled_.load(std::memory_order_relaxed) + 1,
                         std::memory_order_relaxed);
}

bool produce_run::is_over(std::uint64_t now_us) const {
  if (around_.stop.load(std::memory_order_relaxed) || gave_up_.load()) return true;
  return options_.seconds > 0 && static_cast<double>(now_us - start_us_) >= options_.seconds * 1e6;
}

/// The next good input record; false: no more.
result<bool> produce_run::next(input_record& record) {
  if (options_.records > 0 && taken_ >= options_.records) return false;
  if (generator_) {
    generator_->next(record);
    ++taken_;
    return true;
  }
  for (;;) {
    auto found = reader_->next(record);
    if (!found.ok()) {
      if (found.failure().code() != error_code::invalid_argument || !options_.skip_bad) {
        return std::move(found).failure().with_context(options_.file);
      }
      if (++bad_ == 1) {
        around_.err << "millrace produce: passed over: " << found.failure().message() << std::endl;
      }
      continue;
    }
    if (*found) {
      ++taken_;
      return true;
    }
    if (around_.stop.load() || (options_.loop != 0 && loops_ >= options_.loop)) return false;
    // Nothing in it: reading it again for ever would find nothing again.
    if (taken_ == 0) return false;
    ++loops_;
    MILLRACE_TRY(reader_->rewind());
  }
}

/// Passes over the input records that an earlier run with this identity has made durable.
status produce_run::skip_known() {
  input_record record;
  while (skipped_ < own_first_ && !around_.stop.load(std::memory_order_relaxed)) {
    MILLRACE_ASSIGN(const bool found, next(record));
    if (!found) break;
    ++skipped_;
  }
  return {};
}

void produce_run::wait_for_rate(std::uint64_t sent) {
  if (options_.rate <= 0) return;
  for (;;) {
    const std::uint64_t now_us = monotonic_us();
    const double passed = static_cast<double>(now_us - rate_from_us_) / 1e6;
    const double due = static_cast<double>(sent - rate_from_record_) / options_.rate;
    if (due <= passed) {
      if (passed - due > rate_burst_seconds) {
        rate_from_us_ = now_us;
        rate_from_record_ = sent;
      }
      return;
    }
    if (is_over(now_us)) return;
    const auto us = static_cast<std::uint64_t>((due - passed) * 1e6) + 1;
    std::this_thread::sleep_for(std::chrono::microseconds(std::min(us, watch_period_us)));
  }
}

status produce_run::send_all() {
  MILLRACE_TRY(skip_known());
  input_record record;
  // Small enough that a rate limit is met evenly, a few times a millisecond.
  const std::uint64_t look_every =
      options_.rate > 0 ? std::clamp<std::uint64_t>(
                              static_cast<std::uint64_t>(options_.rate / 2'000), 1, look_records)
                        : look_records;
  for (std::uint64_t sent = 0;; ++sent) {
    // A pipe may be slow: then every record is worth a look at the clock.
    if (sent % look_every == 0 || options_.file == "-") {
      if (is_over(monotonic_us())) return {};
      wait_for_rate(sent);
      if (generator_) generator_->set_time_ms(wall_us() / 1'000);
      if (reader_) input_read_.store(reader_->bytes_read(), std::memory_order_relaxed);
    }
    MILLRACE_ASSIGN(const bool found, next(record));
    if (!found) return {};
    auto given = producer_->send(record.key, record.data);
    if (!given.ok()) return std::move(given).failure();
    records_read_.store(sent + 1, std::memory_order_relaxed);
    bytes_read_.store(
        bytes_read_.load(std::memory_order_relaxed) + record.key.size() + record.data.size(),
        std::memory_order_relaxed);
  }
}

/// Waits until every record has its outcome, and earlier ones their places.
void produce_run::settle_rest() {
  while (!gave_up_.load()) {
    const status done = producer_->flush(flush_step_us);
    if (done.ok() || done.failure().code() != error_code::timed_out) return;
  }
}

void produce_run::say_trouble(const producer_statistics& statistics) {
  if (statistics.last_trouble == trouble_shown_) return;
  trouble_shown_ = statistics.last_trouble;
  report_.clear();
  if (!options_.quiet) {
    around_.err << "millrace produce: " << trouble_shown_ << "; going on" << std::endl;
  }
}

void produce_run::watch_once(std::uint64_t now_us, bool show) {
  const producer_statistics statistics = producer_->statistics();
  produce_progress now;
  now.records_settled = records_settled_.load(std::memory_order_relaxed);
  now.records_read = std::max(records_read_.load(std::memory_order_relaxed), now.records_settled);
  now.bytes_read = bytes_read_.load(std::memory_order_relaxed);
  if (options_.records > 0) {
    now.part_done =
        static_cast<double>(skipped_ + now.records_settled) / static_cast<double>(options_.records);
  } else if (options_.seconds > 0) {
    now.part_done =
        std::min(1.0, static_cast<double>(now_us - start_us_) / (options_.seconds * 1e6));
  } else if (reader_ && reader_->bytes_total() > 0 && options_.loop == 1) {
    now.part_done = static_cast<double>(input_read_.load(std::memory_order_relaxed)) /
                    static_cast<double>(reader_->bytes_total());
  }
  say_trouble(statistics);
  if (show && !options_.quiet && options_.progress) report_.show(now, statistics, now_us);

  const bool is_waiting = now.records_read > now.records_settled;
  if (!is_waiting || now.records_settled != progress_settled_ || statistics.storage_blocked) {
    progress_us_ = now_us;
    progress_settled_ = now.records_settled;
  }
  const double idle = static_cast<double>(now_us - progress_us_) / 1e6;
  if (options_.give_up_seconds > 0 && idle > options_.give_up_seconds && !gave_up_.load()) {
    gave_up_.store(true);
    producer_->close();
  }
}

/// The watcher's thread: progress, troubles, acks on their way to the file, and giving up.
void produce_run::watch() {
  const std::uint64_t period_us = around_.out_is_terminal ? terminal_period_us : plain_period_us;
  std::uint64_t shown_us = start_us_;
  std::unique_lock lock(watch_mutex_);
  while (!watch_end_.wait_for(lock, std::chrono::microseconds(watch_period_us),
                              [this] { return is_done_; })) {
    const std::uint64_t now_us = monotonic_us();
    const bool show = now_us - shown_us >= period_us;
    if (show) shown_us = now_us;
    watch_once(now_us, show);
    if (acks_) acks_->flush();
  }
}

int produce_run::finish(const status& outcome) {
  {
    std::lock_guard lock(watch_mutex_);
    is_done_ = true;
  }
  watch_end_.notify_all();
  watcher_.join();
  const double seconds = static_cast<double>(monotonic_us() - start_us_) / 1e6;
  producer_->close();
  report_.clear();
  int code = exit_ok;
  if (!outcome.ok() && !gave_up_.load()) code = complain(outcome.failure(), exit_failed);
  const std::uint64_t read = records_read_.load();
  const std::uint64_t settled = records_settled_.load();
  if (gave_up_.load()) {
    code = complain(
        {error_code::timed_out,
         "gave up: no record became durable for " +
             duration_text(static_cast<std::uint64_t>(options_.give_up_seconds * 1e6)) + "; " +
             std::to_string(read - std::min(read, settled)) + " records have no answer"},
        exit_failed);
  }
  for (const std::string& refusal : refusals_)
    code = complain({error_code::unavailable, refusal}, exit_failed);
  if (acks_) {
    acks_->flush();
    if (const auto lines = acks_->lines(); !lines.ok()) {
      code = complain(lines.failure(), exit_failed);
    }
  }
  if (options_.quiet) return code;
  print(around_.out,
        {.progress = {.records_read = read,
                      .bytes_read = bytes_read_.load(),
                      .records_settled = settled},
         .statistics = producer_->statistics(),
         .records_skipped = skipped_,
         .records_bad = bad_,
         .records_refused = refused_.load(),
         .seconds = seconds,
         .identity = identity_.value != 0 ? to_string(identity_) : std::string()},
        latency_us_);
  return code;
}

int produce_run::run() {
  if (const status usable = check(options_); !usable.ok()) {
    return complain(usable.failure(), exit_usage);
  }
  const auto target = parse_target(options_.to);
  if (!target.ok()) return complain(target.failure(), exit_usage);
  if (target->by != produce_target::protocol::udp) {
    auto over_http = http_options(options_, *target);
    if (!over_http.ok()) return complain(over_http.failure(), exit_usage);
    over_http_ = *std::move(over_http);
  }
  if (const status opened = open_input(); !opened.ok()) {
    const bool is_usage = opened.failure().code() == error_code::invalid_argument;
    return complain(opened.failure(), is_usage ? exit_usage : exit_failed);
  }
  if (const status connected = connect(*target); !connected.ok()) {
    return complain(connected.failure(), exit_failed);
  }
  start_us_ = progress_us_ = rate_from_us_ = monotonic_us();
  watcher_ = std::thread([this] { watch(); });
  const status sent = send_all();
  settle_rest();
  return finish(sent);
}

std::atomic<bool> stop_requested{false};

extern "C" void request_stop(int signal_number) {
  stop_requested.store(true);
  // Whoever asks twice does not want to wait for the rest.
  std::signal(signal_number, SIG_DFL);
}

}  // namespace

int run_produce(const produce_options& options, const produce_surroundings& around) {
  return produce_run(options, around).run();
}

int run_produce(const produce_options& options) {
  struct sigaction handler {};
  handler.sa_handler = request_stop;
  sigaction(SIGINT, &handler, nullptr);
  sigaction(SIGTERM, &handler, nullptr);
  return run_produce(options, {.out = std::cout,
                               .err = std::cerr,
                               .stop = stop_requested,
                               .out_is_terminal = isatty(STDOUT_FILENO) == 1});
}

}  // namespace millrace
