#include "api/put_answers.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/kinesis_door.h"
#include "base/check.h"
#include "base/clock.h"
#include "gpu/md5.h"
#include "shards/sequence_number.h"
#include "shards/shard_lineage.h"

namespace millrace {
namespace {

constexpr std::uint64_t expiry_period_us = 500'000;

kinesis_error error_of(outcome why, const kinesis_options& options, std::string_view stream) {
  if (why == outcome::stream_not_found) return no_such_stream(options, stream);
  return unavailable(fmt::format("The records were not stored: {}.", to_string(why)));
}

}  // namespace

struct put_answers::pending {
  std::uint32_t index = 0;
  bool is_used = false;
  bool many = false;
  credential_pointer who;
  bool is_encrypted = false;  // all that is stored of it; until something is, what the stream says
  std::shared_ptr<http_exchange> exchange;  // null: answered, or the client was let go
  body_room room;
  std::uint32_t references = 0;  // batches that hold the room
  std::uint64_t arrived_us = 0;
  put_request request;
  stream_lane lane{};
  std::uint32_t batch_bytes_max = 0;
  /// With quotas: records of the request that are over them, in its order, and where they would go.
  struct throttled {
    std::uint32_t position;
    shard_index shard;
  };
  std::vector<throttled> throttled_records;
  std::string stream_name;  // for their errors
  std::size_t told = 0;     // of those
  std::size_t results = 0;  // written, throttled ones included
  std::size_t appended = 0;
  std::size_t answered = 0;
  std::size_t failed = 0;
  std::size_t stored = 0;
  outcome failure = outcome::pending;  // of the last record that failed
  wire_encoding encoding = wire_encoding::json;
  std::optional<wire_writer> out;
};

put_answers::put_answers(const kinesis_service& service, batch_sink& sink, batch_filler& filler,
                         counter_set& counters, std::uint64_t answer_us_max)
    : service_(service),
      sink_(sink),
      filler_(filler),
      counters_(counters),
      answer_us_max_(answer_us_max),
      owner_(filler.register_owner(*this)) {
  filler.register_observer(*this);
}

put_answers::~put_answers() = default;

put_answers::pending& put_answers::take_slot() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.push_back(std::make_unique<pending>());
    slots_.back()->index = free_.back();
  }
  pending& one = *slots_[free_.back()];
  free_.pop_back();
  one.is_used = true;
  one.references = 0;
  one.appended = one.answered = one.failed = one.stored = 0;
  one.failure = outcome::pending;
  one.throttled_records.clear();
  one.told = one.results = 0;
  ++in_use_;
  return one;
}

void put_answers::free_slot(pending& one) {
  one.is_used = false;
  one.exchange.reset();
  one.room.reset();
  one.who.reset();
  one.out.reset();
  free_.push_back(one.index);
  --in_use_;
}

void put_answers::refuse(pending& one, const kinesis_error& failure) {
  if (!one.exchange) return;
  answer_kinesis(*one.exchange, one.encoding, failure);
  one.exchange.reset();
}

void put_answers::handle(std::shared_ptr<http_exchange> exchange, wire_encoding encoding, bool many,
                         credential_pointer who, std::uint64_t now_us) {
  pending& one = take_slot();
  const mutable_byte_view body = exchange->request().body;
  one.exchange = std::move(exchange);
  one.room = one.exchange->take_body();
  one.encoding = encoding;
  one.many = many;
  one.who = std::move(who);
  one.arrived_us = now_us;
  kinesis_outcome failure = decode_put(encoding, many, body, one.request);
  if (!failure) failure = prepare(one);
  if (failure) {
    refuse(one, *failure);
    return free_slot(one);
  }
  counters_.add(counter::decode_bytes_copied, one.request.payload_bytes);
  counters_.add(counter::records_received, one.request.records.size());
  one.out.emplace(encoding);
  one.out->begin_map();
  if (many) {
    one.out->reserve(64 + one.request.records.size() * 128);
    one.out->name("Records");
    one.out->begin_list();
  }
  if (one.request.records.empty()) {  // every one of them was throttled
    finish(one);
    return free_slot(one);
  }
  // In the order of arrival: nobody goes before those who wait.
  if (!waiting_.empty() || !append(one, now_us)) waiting_.push_back(one.index);
}

/// What Kinesis checks after the request's form, and where the records go.
kinesis_outcome put_answers::prepare(pending& one) {
  const put_request& request = one.request;
  wire_writer nothing(one.encoding);
  const action_call call{.service = service_,
                         .input = request.members,
                         .out = nothing,
                         .now_us = wall_us(),
                         .action = one.many ? "PutRecords" : "PutRecord",
                         .who = one.who.get()};
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_stream(call, stream));
  if (stream.state == stream_state::creating || stream.state == stream_state::deleting)
    return no_such_stream(service_.options, stream.name());
  const std::uint64_t record_bytes_max = std::uint64_t{stream.extra->record_kib_max} * 1024;
  if (request.payload_bytes_max > record_bytes_max) {
    violation_list too_large;
    too_large.add(
        {}, one.many ? fmt::format("records.{}.member.data", request.largest) : "data",
        fmt::format("Member must have length less than or equal to {}", record_bytes_max));
    return too_large.outcome();
  }
  if (request.payload_bytes > put_bytes_max)
    return invalid_argument("Records size exceeds 10 MB limit");
  if (const std::string_view ordering = request.text("SequenceNumberForOrdering");
      !ordering.empty()) {
    const auto given = sequence_number::parse(ordering);
    if (!given.ok() || given->arrival_s > call.now_us / 1'000'000 + 1)
      return invalid_argument(
          fmt::format("ExclusiveMinimumSequenceNumber {} used in PutRecord on stream {} under "
                      "account {} is invalid.",
                      ordering, stream.name(), service_.options.account));
  }
  MILLRACE_KINESIS_TRY(check_stream_key(call, stream));
  if (call.truth("DryRun"))
    return kinesis_error{"DryRunOperationException", "The request would have succeeded."};
  if (sink_.is_blocked(stream.id()))
    return unavailable(fmt::format("Stream {} cannot be written now.", stream.name()));
  const auto target = sink_.find_stream(stream.name());
  if (!target.ok()) return no_such_stream(service_.options, stream.name());
  one.lane = filler_.attach(*target);
  one.batch_bytes_max = target->batch_bytes_max;
  one.is_encrypted = !stream.extra->key_id.empty();
  if (service_.quotas != nullptr) apply_quotas(one, stream, monotonic_us());
  if (!one.many && !one.throttled_records.empty())
    return throughput_exceeded(service_.options, stream.name(),
                               one.throttled_records.front().shard);
  return std::nullopt;
}

/// Takes the records that are over the stream's quotas out of the request. Where they would go is
/// looked up here as well as by the pipeline: this is for trying things out, not for speed.
void put_answers::apply_quotas(pending& one, const named_stream& stream, std::uint64_t now_us) {
  one.stream_name = stream.name();
  const auto& shards = stream.at.description->shards;
  std::vector<record_ref>& records = one.request.records;
  std::size_t kept = 0;
  for (std::uint32_t i = 0; i < records.size(); ++i) {
    const record_view view = records[i].view();
    const std::string_view key = view.key();
    const uint128 hash = view.has_hash_key() ? view.hash_key()
                                             : md5(reinterpret_cast<const std::byte*>(key.data()),
                                                   static_cast<std::uint32_t>(key.size()));
    const auto found = std::find_if(shards.begin(), shards.end(), [&](const shard_info& each) {
      return each.is_open() && each.hash_first <= hash && hash <= each.hash_last;
    });
    const shard_index shard = found != shards.end() ? found->shard : shard_index{};
    const std::uint64_t bytes = key.size() + view.data().size();
    const bool fits =
        stream.extra->on_demand
            ? service_.quotas->take_write(stream.id(), stream.extra->warm_mib, bytes, now_us)
            : service_.quotas->take_write(stream.id(), shard, bytes, now_us);
    if (fits) {
      records[kept++] = records[i];
    } else {
      one.throttled_records.push_back({i, shard});
    }
  }
  records.resize(kept);
}

/// The results of throttled records that come before the next one.
void put_answers::add_throttled(pending& one) {
  for (; one.told < one.throttled_records.size() &&
         one.throttled_records[one.told].position == one.results;
       ++one.told, ++one.results) {
    one.out->begin_map();
    one.out->plain("ErrorCode", "ProvisionedThroughputExceededException");
    one.out->plain("ErrorMessage", over_shard_rate(service_.options, one.stream_name,
                                                   one.throttled_records[one.told].shard));
    one.out->end_map();
  }
}

bool put_answers::append(pending& one, std::uint64_t now_us) {
  const std::span<const record_ref> all = one.request.records;
  const std::uint64_t handle = batch_filler::buffer_handle(owner_, one.index);
  while (one.appended < all.size()) {
    std::size_t count = 0;
    std::uint64_t bytes = 0;
    for (const record_ref& next : all.subspan(one.appended)) {
      if (count > 0 && bytes + next.stride > one.batch_bytes_max) break;
      bytes += next.stride;
      ++count;
    }
    const run_owner owner{.kind = entry_kind::raw, .owner_tag = one.index};
    ++one.references;  // before the batch, which may come back, has it
    if (!filler_.append(one.lane, owner, all.subspan(one.appended, count), handle, now_us)) {
      --one.references;
      return false;
    }
    one.appended += count;
  }
  return true;
}

int put_answers::do_work(std::uint64_t now_us) {
  int done = 0;
  while (!waiting_.empty() && append(*slots_[waiting_.front()], now_us)) {
    waiting_.pop_front();
    ++done;
  }
  if (now_us >= next_expiry_us_) {
    next_expiry_us_ = now_us + expiry_period_us;
    expire(now_us);
  }
  return done;
}

void put_answers::expire(std::uint64_t now_us) {
  for (const auto& slot : slots_) {
    if (!slot->is_used || !slot->exchange || now_us < slot->arrived_us + answer_us_max_) continue;
    refuse(*slot, unavailable("The records are not durable in time; they may become so later."));
  }
}

void put_answers::abandon() {
  for (const auto& slot : slots_)
    slot->exchange.reset();
}

void put_answers::batch_finished(const record_batch& batch, std::uint64_t) {
  std::size_t first = 0;
  for (const batch_entry& entry : batch.entries) {
    pending& one = *slots_[entry.owner_tag];
    if (entry.result == outcome::committed) {
      add_results(one, batch, first, entry);
      first += entry.record_count;
    } else {
      add_failures(one, entry.record_count, entry.result);
    }
    one.answered += entry.record_count;
    if (one.answered == one.request.records.size()) finish(one);
  }
}

void put_answers::add_results(pending& one, const record_batch& batch, std::size_t first,
                              const batch_entry& entry) {
  if (!one.exchange) return;
  // Its batches may lie on both sides of a change.
  one.is_encrypted = batch.is_encrypted && (one.is_encrypted || one.stored == 0);
  one.stored += entry.record_count;
  const auto arrival_s = static_cast<std::uint32_t>(batch.arrival_us / 1'000'000);
  wire_writer& out = *one.out;
  sequence_number::digits digits;
  for (std::size_t i = first; i < first + entry.record_count; ++i) {
    const record_batch::shard_run& run = batch.runs[batch.run[i]];
    const sequence_number sequence{run.created_s, run.first.next(batch.rank[i]), arrival_s,
                                   run.shard};
    add_throttled(one);
    ++one.results;
    if (one.many) out.begin_map();
    out.plain("SequenceNumber", sequence.write(digits));
    out.plain("ShardId", shard_name(run.shard));
    if (one.many) out.end_map();
  }
}

void put_answers::add_failures(pending& one, std::uint32_t count, outcome why) {
  one.failed += count;
  one.failure = why;
  counters_.add(counter::records_refused, count);
  if (!one.exchange || !one.many) return;
  for (std::uint32_t i = 0; i < count; ++i) {
    add_throttled(one);
    ++one.results;
    one.out->begin_map();
    one.out->plain("ErrorCode", "InternalFailure");
    one.out->plain("ErrorMessage", "Internal Service Failure");
    one.out->end_map();
  }
}

void put_answers::finish(pending& one) {
  if (!one.exchange) return;
  // Nothing was stored: then the whole request failed, and the client learns why.
  if (one.failed == one.request.records.size() && one.throttled_records.empty())
    return refuse(one, error_of(one.failure, service_.options, one.request.text("StreamName")));
  wire_writer& out = *one.out;
  if (one.many) {
    add_throttled(one);
    out.end_list();
    out.integer("FailedRecordCount",
                static_cast<std::int64_t>(one.failed + one.throttled_records.size()));
  }
  if (one.is_encrypted) out.plain("EncryptionType", "KMS");
  out.end_map();
  answer_kinesis(*one.exchange, one.encoding, out.take());
  one.exchange.reset();
}

void put_answers::release(std::uint64_t value) {
  pending& one = *slots_[value];
  MILLRACE_CHECK(one.references > 0, "a body was given back twice");
  if (--one.references == 0 && one.answered == one.request.records.size()) free_slot(one);
}

}  // namespace millrace
