/// The producer engine's patience: probes, heartbeats, and what silence means.
#include <algorithm>

#include "ingest/producer_engine.h"

namespace millrace {
namespace {

/// Between two heartbeats of a producer with nothing to say, doubling.
constexpr std::uint64_t idle_us_min = 1'000'000;
constexpr std::uint64_t idle_us_max = limits::session_idle_us / 4;
/// Waiting for the log, or for credit, is not waiting for the network.
constexpr std::uint64_t durable_us_min = 20'000;
constexpr std::uint64_t ask_us_max = 1'000'000;
/// Silence after which the server, or the path to it, counts as gone.
constexpr std::uint64_t silence_us_min = 1'000'000;
constexpr std::uint32_t asked_unheard_min = 3;
/// Results that the server has not got by then, it will never have.
constexpr std::uint64_t results_patience_us = 30'000'000;

}  // namespace

/// True while an answer of the server is missing.
bool producer_engine::is_waiting() const {
  return window_.packets_in_flight() > 0 || !again_.empty() || durable_ < next_ ||
         next_offset_ > 0 || (options_.wants_results && results_.next() < durable_) ||
         (next_ < buffer_.end() && is_limited_);
}

std::uint64_t producer_engine::ask_deadline_us() const {
  if (!is_waiting()) {
    const std::uint64_t pause = idle_us_min << std::min(asked_, 4u);
    return spoke_us_ + std::min(pause, idle_us_max);
  }
  std::uint64_t pause = window_.trip().timeout_us();
  if (window_.packets_in_flight() == 0) pause = std::max(pause, durable_us_min);
  return ask_from_us_ + std::min(pause << std::min(asked_, 8u), ask_us_max);
}

std::uint64_t producer_engine::deadline_us() const {
  if (has_failed_) return UINT64_MAX;
  std::uint64_t when = handshake_.deadline_us();
  if (!is_open_) return when;
  when = std::min({when, ask_deadline_us(), tell_results_us_, window_.loss_deadline_us(),
                   linger_deadline_us_, path_.deadline_us()});
  if (is_limited_) when = std::min(when, pacer_.deadline_us());
  return when;
}

void producer_engine::keep_alive(std::uint64_t now_us, producer_stage& stage) {
  while (stage.has_room()) {
    const std::uint32_t bytes = path_.take_probe(now_us);
    if (bytes == 0) break;
    build_probe(bytes, now_us, stage);
  }
  if (window_.is_exhausted()) {
    reconnect("the server does not acknowledge datagrams", now_us);
    return;
  }
  if (options_.wants_results && results_.next() < durable_) {
    if (results_from_us_ == 0) results_from_us_ = now_us;
    if (now_us - results_from_us_ > results_patience_us) results_.give_up_below(durable_);
  }
  const std::uint64_t silence = std::max(silence_us_min, 3 * window_.trip().timeout_us());
  if (is_waiting() && asked_unheard_ >= asked_unheard_min && now_us - heard_us_ > silence &&
      !handshake_.is_active()) {
    reconnect("no answer for " + std::to_string((now_us - heard_us_) / 1000) + " ms", now_us);
  }
  if (!stage.has_room()) return;
  if (now_us >= ask_deadline_us()) {
    ++asked_;
    ++asked_unheard_;
    build_heartbeat(now_us, stage);
  } else if (now_us >= tell_results_us_) {
    build_heartbeat(now_us, stage);
  }
}

void producer_engine::build_heartbeat(std::uint64_t now_us, producer_stage& stage) {
  wire::datagram_header header =
      header_of(wire::datagram_type::heartbeat, window_.next_number(now_us), now_us);
  header.flags = wire::ack_now;
  header.payload_bytes = sizeof(wire::heartbeat_payload);
  const std::uint64_t results = options_.wants_results ? results_.next() : durable_;
  store(stage.place() + sizeof header,
        wire::heartbeat_payload{.next_record = next_, .results_record = results});
  finish(header, stage);
  tell_results_us_ = UINT64_MAX;
  ask_from_us_ = now_us;
}

void producer_engine::build_probe(std::uint32_t bytes, std::uint64_t now_us,
                                  producer_stage& stage) {
  wire::datagram_header header =
      header_of(wire::datagram_type::probe, window_.next_number(now_us), now_us);
  header.payload_bytes = wire::payload_bytes_max(bytes, key_id_ != 0);
  std::memset(stage.place() + sizeof header, 0, header.payload_bytes);
  finish(header, stage, /*may_fail=*/true);
}

void producer_engine::made_progress(std::uint64_t now_us) {
  asked_ = 0;
  resets_ = 0;
  ask_from_us_ = now_us;
}

void producer_engine::on_news(const window_news& news, std::uint64_t now_us) {
  pacer_.on_news(news, window_.last_number(), window_.largest_acked(), is_limited_);
  if (path_.on_news(news, now_us)) {
    listener_.trouble("datagrams larger than " + std::to_string(limits::datagram_bytes_min) +
                      " bytes vanish on the path; using smaller ones");
  }
}

}  // namespace millrace
