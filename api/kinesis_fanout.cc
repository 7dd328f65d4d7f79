#include "api/kinesis_fanout.h"

#include <algorithm>

#include "api/event_stream.h"
#include "api/kinesis_door.h"
#include "api/stored_records.h"
#include "base/clock.h"
#include "base/limits.h"
#include "shards/shard_lineage.h"

namespace millrace {
namespace {

/// Between two looks at time, clients that are gone and shards that were taken over. What becomes
/// durable is looked at when it does.
constexpr std::uint64_t look_period_us = 250'000;
/// An event at least so often, because its ContinuationSequenceNumber is the client's checkpoint.
constexpr std::uint64_t event_period_us = 5'000'000;
constexpr std::uint64_t event_bytes_max = limits::mib;
constexpr std::uint32_t event_records_max = 10'000;
/// A client that has not taken this much yet gets no more before it does.
constexpr std::uint64_t client_unsent_bytes_max = 4 * limits::mib;

std::string_view content_type_of(wire_encoding encoding) {
  return encoding == wire_encoding::json ? "application/json" : "application/cbor";
}

std::string empty_map(wire_encoding encoding) {
  wire_writer out(encoding);
  out.begin_map();
  out.end_map();
  return out.take();
}

}  // namespace

std::uint64_t subscription_book::enter(const place& where, std::uint64_t now_us) {
  std::lock_guard lock(mutex_);
  holder& one = holders_[where];
  if (one.number != 0 && now_us < one.since_us + takeover_us) return 0;
  one = {.number = next_++, .since_us = now_us};
  return one.number;
}

bool subscription_book::is_current(const place& where, std::uint64_t number) const {
  std::lock_guard lock(mutex_);
  const auto found = holders_.find(where);
  return found != holders_.end() && found->second.number == number;
}

void subscription_book::leave(const place& where, std::uint64_t number) {
  std::lock_guard lock(mutex_);
  const auto found = holders_.find(where);
  if (found != holders_.end() && found->second.number == number) holders_.erase(found);
}

kinesis_outcome start_subscription(const action_call& call, subscription_start& into) {
  const auto parts = parse_arn(call.text("ConsumerARN"));
  if (!parts || parts->consumer.empty()) return invalid_argument("ConsumerARN is invalid.");
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_stream(call, parts->stream, stream));
  const kinesis_consumer* const consumer = stream.extra->find_consumer(parts->consumer);
  if (consumer == nullptr || consumer->created_us / 1'000'000 != parts->created_s)
    return not_found("Consumer " + std::string(call.text("ConsumerARN")) + " not found.");
  if (call.now_us < consumer->created_us + call.service.options.state_change_us)
    return in_use("Consumer " + consumer->name + " is not ACTIVE.");
  MILLRACE_KINESIS_TRY(check_stream_key(call, stream));
  const shard_info* shard = nullptr;
  MILLRACE_KINESIS_TRY(find_shard(call, stream, call.text("ShardId"), shard));
  const wire_value& from = *call.find("StartingPosition");
  const wire_value* const sequence = from.find("SequenceNumber");
  MILLRACE_KINESIS_TRY(find_position(
      call, stream, *shard,
      {.type = from.find("Type")->text,
       .sequence = sequence != nullptr ? std::string_view(sequence->text) : std::string_view(),
       .time = from.find("Timestamp")},
      into.next));
  if (call.truth("DryRun"))
    return kinesis_error{"DryRunOperationException", "The request would have succeeded."};
  into.where = {.stream = stream.id(), .shard = shard->shard, .consumer = consumer->name};
  into.at = stream.at;
  return std::nullopt;
}

struct kinesis_fanout::subscription {
  std::shared_ptr<http_exchange> exchange;
  wire_encoding encoding = wire_encoding::json;
  subscription_book::place where;
  std::uint64_t number = 0;
  std::shared_ptr<const stream_log> log;
  record_index next{};
  std::string continuation;
  std::uint64_t ends_us = 0;
  std::uint64_t next_event_us = 0;
  bool is_reading = false;
};

/// What a worker made.
struct kinesis_fanout::event {
  std::string frame;  // empty: nothing to send
  record_index next{};
  std::string continuation;
  bool is_end = false;
  kinesis_outcome failure;
};

kinesis_fanout::kinesis_fanout(const kinesis_service& service, subscription_book& book,
                               worker_pool& workers, log_news& news,
                               const std::atomic<std::uint64_t>& unsent, post_back post)
    : service_(service),
      book_(book),
      workers_(workers),
      news_(news),
      unsent_(unsent),
      post_(std::move(post)) {}

kinesis_fanout::~kinesis_fanout() = default;

void kinesis_fanout::add(std::shared_ptr<http_exchange> exchange, wire_encoding encoding,
                         const subscription_start& start, std::uint64_t now_us) {
  const std::uint64_t number = book_.enter(start.where, now_us);
  if (number == 0)
    return answer_kinesis(
        *exchange, encoding,
        in_use("Another active subscription exists for this consumer and shard."));
  const auto one = std::make_shared<subscription>();
  one->exchange = std::move(exchange);
  one->encoding = encoding;
  one->where = start.where;
  one->number = number;
  one->log = start.at.log;
  one->next = start.next;
  one->ends_us = now_us + subscription_us;
  one->next_event_us = now_us;
  for (const shard_info& shard : start.at.description->shards) {
    if (shard.shard == start.where.shard)
      one->continuation = place_before(shard, start.next).to_string();
  }
  begin_kinesis_stream(*one->exchange);
  // Clients wait for this before they hand the stream to their caller.
  one->exchange->send(event_frame({{":message-type", "event"},
                                   {":event-type", "initial-response"},
                                   {":content-type", content_type_of(encoding)}},
                                  empty_map(encoding)));
  news_.follow(one->where.stream, one->log);
  by_stream_[one->where.stream].push_back(one);
  ++size_;
  look_after(one, now_us);
}

void kinesis_fanout::end(subscription& one) {
  if (!one.exchange) return;
  one.exchange->end_stream();
  one.exchange.reset();
  book_.leave(one.where, one.number);
  news_.unfollow(one.where.stream);
}

/// False: it is over.
bool kinesis_fanout::look_after(const std::shared_ptr<subscription>& one, std::uint64_t now_us) {
  if (!one->exchange) return false;
  if (!one->exchange->is_open() || now_us >= one->ends_us) {
    end(*one);
    return false;
  }
  if (!book_.is_current(one->where, one->number)) {
    const std::string payload = R"({"message":"Another subscription of this consumer took over."})";
    one->exchange->send(event_frame({{":message-type", "exception"},
                                     {":exception-type", "ResourceInUseException"},
                                     {":content-type", "application/json"}},
                                    payload));
    end(*one);
    return false;
  }
  if (one->is_reading || unsent_.load(std::memory_order_relaxed) >= unsent_bytes_max) return true;
  if (one->exchange->unsent_bytes() > client_unsent_bytes_max) {
    one->exchange->when_unsent_below(client_unsent_bytes_max / 2,
                                     [this, one] { drained_.push_back(one); });
    return true;
  }
  if (one->next < one->log->durable_end(one->where.shard) || now_us >= one->next_event_us)
    read(one);
  return true;
}

void kinesis_fanout::look_after_all(subscriptions& all, std::uint64_t now_us) {
  const std::size_t before = all.size();
  std::erase_if(all, [&](const auto& one) { return !look_after(one, now_us); });
  size_ -= before - all.size();
}

void kinesis_fanout::on_news(stream_id stream) {
  const auto found = by_stream_.find(stream);
  if (found != by_stream_.end()) look_after_all(found->second, monotonic_us());
}

int kinesis_fanout::do_work(std::uint64_t now_us) {
  for (const auto& one : std::exchange(drained_, {}))
    look_after(one, now_us);
  if (now_us < next_look_us_) return 0;
  next_look_us_ = now_us + look_period_us;
  for (auto& [stream, all] : by_stream_)
    look_after_all(all, now_us);
  std::erase_if(by_stream_, [](const auto& one) { return one.second.empty(); });
  return 0;
}

std::uint64_t kinesis_fanout::next_due_us() const {
  if (!drained_.empty()) return 0;
  return by_stream_.empty() ? UINT64_MAX : next_look_us_;
}

void kinesis_fanout::read(const std::shared_ptr<subscription>& one) {
  one->is_reading = true;
  const auto job = [this, one, encoding = one->encoding, where = one->where, next = one->next,
                    continuation = one->continuation] {
    auto made = std::make_shared<event>();
    *made = make_event(encoding, where, next, continuation);
    post_([this, one, made] { deliver(one, *made); });
  };
  // When too much waits it is tried again at the next look.
  if (!workers_.post(job)) one->is_reading = false;
}

/// By a worker.
kinesis_fanout::event kinesis_fanout::make_event(wire_encoding encoding,
                                                 const subscription_book::place& where,
                                                 record_index next,
                                                 const std::string& continuation) const {
  event made{
      .frame = {}, .next = next, .continuation = continuation, .is_end = false, .failure = {}};
  auto at = service_.streams.open_stream(where.stream);
  if (!at.ok()) {
    made.failure = not_found("The stream does not exist any more.");
    return made;
  }
  named_stream stream;
  stream.at = *std::move(at);
  const shard_info* const shard = stream.find_shard(where.shard);
  if (shard == nullptr) {
    made.is_end = true;
    return made;
  }
  auto chunk = stream.at.log->read(where.shard, next, event_bytes_max, event_records_max);
  if (!chunk.ok()) {
    made.failure = read_failure(chunk.failure());
    return made;
  }
  made.next = std::max(chunk->next, next);
  wire_writer out(encoding);
  out.begin_map();
  out.name("Records");
  out.begin_list();
  stored_record_writer writer(out, shard->created_s);
  for (const stored_record& one : chunk->records)
    writer.write(one);
  out.end_list();
  if (!chunk->records.empty()) {
    const stored_record& last = chunk->records.back();
    made.continuation =
        sequence_number{shard->created_s, last.index,
                        static_cast<std::uint32_t>(last.arrival_us / 1'000'000), where.shard}
            .to_string();
  }
  out.plain("ContinuationSequenceNumber", made.continuation);
  out.integer("MillisBehindLatest", static_cast<std::int64_t>(chunk->behind_us / 1000));
  made.is_end = !shard->is_open() && made.next >= stream.at.log->durable_end(where.shard);
  if (made.is_end) write_child_shards(out, *stream.at.description, where.shard);
  out.end_map();
  made.frame = event_frame({{":message-type", "event"},
                            {":event-type", "SubscribeToShardEvent"},
                            {":content-type", content_type_of(encoding)}},
                           out.take());
  return made;
}

void kinesis_fanout::deliver(const std::shared_ptr<subscription>& one, event& made) {
  one->is_reading = false;
  if (!one->exchange) return;
  if (made.failure) {
    wire_writer out(wire_encoding::json);
    out.begin_map();
    out.text("message", made.failure->message);
    out.end_map();
    one->exchange->send(event_frame({{":message-type", "exception"},
                                     {":exception-type", made.failure->name},
                                     {":content-type", "application/json"}},
                                    out.take()));
    return end(*one);
  }
  one->next = made.next;
  one->continuation = std::move(made.continuation);
  one->next_event_us = monotonic_us() + event_period_us;
  if (!made.frame.empty()) one->exchange->send(std::move(made.frame));
  if (made.is_end) return end(*one);
  // There may be more already; if it has ended, the next look takes it out.
  look_after(one, monotonic_us());
}

void kinesis_fanout::abandon() {
  for (const auto& [stream, all] : by_stream_) {
    for (const auto& one : all)
      end(*one);
  }
  by_stream_.clear();
  drained_.clear();
  size_ = 0;
}

}  // namespace millrace
