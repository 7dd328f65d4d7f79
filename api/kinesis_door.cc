#include "api/kinesis_door.h"

#include <algorithm>

#include "api/http_message.h"
#include "api/json_text.h"
#include "api/wire_json.h"
#include "base/clock.h"
#include "ingest/aead.h"

namespace millrace {
namespace {

constexpr std::string_view target_prefix = "Kinesis_20131202.";
constexpr std::string_view json_type = "application/x-amz-json-1.1";
constexpr std::string_view cbor_type = "application/x-amz-cbor-1.1";
/// A request that becomes a tree; nothing that is not a Put needs more.
constexpr std::size_t call_bytes_max = limits::mib;
constexpr std::uint64_t gauges_period_us = 100'000;
constexpr std::uint64_t stranger_bytes_max = 64 * limits::kib;

std::optional<wire_encoding> encoding_of(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' '))
    content_type.remove_suffix(1);
  if (content_type == json_type || content_type == "application/json") return wire_encoding::json;
  if (content_type == cbor_type) return wire_encoding::cbor;
  return std::nullopt;
}

/// Random bits that name a request. Not secret, so that a fast generator will do.
std::uint64_t next_random() {
  thread_local std::uint64_t state = random_u64();
  state += 0x9e3779b97f4a7c15u;  // splitmix64
  std::uint64_t z = state;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

http_fields answer_headers() {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string id = "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx";
  std::uint64_t bits = 0;
  int left = 0;
  for (char& c : id) {
    if (c != 'x') continue;
    if (left == 0) {
      bits = next_random();
      left = 16;
    }
    c = hex[bits & 15];
    bits >>= 4;
    --left;
  }
  std::array<std::uint64_t, 9> random{};
  std::generate(random.begin(), random.end(), next_random);
  std::string extended;
  append_base64(extended, std::as_bytes(std::span(random)));
  http_fields out;
  out.reserve(2);
  out.emplace_back("x-amzn-RequestId", std::move(id));
  out.emplace_back("x-amz-id-2", std::move(extended));
  return out;
}

void answer_xml(http_exchange& exchange, unsigned status, std::string_view name,
                std::string_view message) {
  std::string body = "<" + std::string(name) + ">\n";
  if (!message.empty()) body += "  <Message>" + std::string(message) + "</Message>\n";
  body += "</" + std::string(name) + ">\n";
  exchange.answer({.status = status,
                   .content_type = "application/xml",
                   .headers = answer_headers(),
                   .body = std::move(body)});
}

std::string action_name(const gate_request& request) {
  const std::string_view target = request.header("X-Amz-Target");
  return target.starts_with(target_prefix) ? std::string(target.substr(target_prefix.size()))
                                           : std::string();
}

result<wire_value> parse(wire_encoding encoding, mutable_byte_view body) {
  if (encoding == wire_encoding::cbor) return parse_cbor(body);
  return parse_json({reinterpret_cast<const char*>(body.data()), body.size()});
}

}  // namespace

void answer_kinesis(http_exchange& exchange, wire_encoding encoding, std::string body) {
  exchange.answer({.status = 200,
                   .content_type = encoding == wire_encoding::json ? json_type : cbor_type,
                   .headers = answer_headers(),
                   .body = std::move(body)});
}

void answer_kinesis(http_exchange& exchange, wire_encoding encoding, const kinesis_error& failure) {
  wire_writer out(encoding);
  out.begin_map();
  out.plain("__type", failure.name);
  // As Kinesis does it; clients read both.
  out.text(failure.name == "SerializationException" ? "Message" : "message", failure.message);
  out.end_map();
  exchange.answer({.status = failure.status,
                   .content_type = encoding == wire_encoding::json ? json_type : cbor_type,
                   .headers = answer_headers(),
                   .body = out.take()});
}

void begin_kinesis_stream(http_exchange& exchange) {
  exchange.begin_stream(200, "application/vnd.amazon.eventstream", answer_headers());
}

kinesis_door::kinesis_door(const kinesis_door_parts& parts, const kinesis_door_options& options)
    : parts_(parts),
      options_(options),
      filler_(parts.sink, options.batches, counters_, &waker_),
      puts_(std::make_unique<put_answers>(parts.service, parts.sink, filler_, counters_,
                                          options.answer_us_max)),
      fanout_(std::make_unique<kinesis_fanout>(
          parts.service, parts.subscriptions, parts.workers, news_, parts.unsent,
          [this](std::function<void()> what) { post_back(std::move(what)); })),
      waits_(parts.service.streams, news_, options.waits_max) {
  take_new_credentials();
}

kinesis_door::~kinesis_door() = default;

void kinesis_door::take_new_credentials() {
  if (parts_.credentials == nullptr || parts_.credentials->version() == keys_version_) return;
  // Replaced in between, they are taken again next time.
  keys_version_ = parts_.credentials->version();
  verifier_.reset();
  keys_ = parts_.credentials->current();
  verifier_.emplace(*keys_);
}

bool kinesis_door::admit(http_exchange& exchange, std::uint64_t body_bytes) {
  take_new_credentials();
  const gate_request& request = exchange.request();
  // A stranger gets no room for a large body; the signature itself covers the body.
  if (verifier_ && body_bytes > stranger_bytes_max &&
      !verifier_->knows({request.method, request.target, request.headers, {}})) {
    counters_.add(counter::http_signatures_refused);
    answer_kinesis(exchange,
                   encoding_of(request.header("Content-Type")).value_or(wire_encoding::json),
                   kinesis_error{"UnrecognizedClientException",
                                 "The security token included in the request is invalid."});
    return false;
  }
  if (options_.check_host && !names_this_machine(request.header("Host"))) {
    answer_xml(exchange, 403, "AccessDeniedException",
               "the Host header does not name this machine: use 127.0.0.1 or localhost");
    return false;
  }
  return true;
}

void kinesis_door::handle(std::shared_ptr<http_exchange> exchange) {
  const gate_request& request = exchange->request();
  const auto encoding = encoding_of(request.header("Content-Type"));
  const std::string name = action_name(request);
  if (request.method != "POST" || (name.empty() && !encoding))
    return answer_xml(*exchange, 403, "AccessDeniedException",
                      "Unable to determine service/operation name to be authorized");
  if (!encoding) return answer_xml(*exchange, 404, "UnknownOperationException", {});
  const kinesis_action* const action = find_action(name);
  if (action == nullptr)
    return answer_kinesis(*exchange, *encoding, kinesis_error{"UnknownOperationException", {}});
  exchange->set_label(label_of(*action));
  credential_pointer who;
  if (const kinesis_outcome failure = authorize(request, *action, who))
    return answer_kinesis(*exchange, *encoding, *failure);
  dispatch(std::move(exchange), *action, *encoding, std::move(who));
}

kinesis_outcome kinesis_door::authorize(const gate_request& request, const kinesis_action& action,
                                        credential_pointer& who) {
  take_new_credentials();
  if (!verifier_) return std::nullopt;
  const credential* found = nullptr;
  if (auto failure =
          verifier_->verify({request.method, request.target, request.headers, request.body},
                            wall_us() / 1'000'000, found)) {
    counters_.add(counter::http_signatures_refused);
    return failure;
  }
  who = credential_pointer(keys_, found);
  if (who->allows_action(action.name)) return std::nullopt;
  return kinesis_error{"AccessDeniedException",
                       "User: " + who->access_key +
                           " is not authorized to perform: kinesis:" + std::string(action.name)};
}

void kinesis_door::dispatch(std::shared_ptr<http_exchange> exchange, const kinesis_action& action,
                            wire_encoding encoding, credential_pointer who) {
  switch (action.kind) {
    case action_kind::put_record:
    case action_kind::put_records:
      return puts_->handle(std::move(exchange), encoding, action.kind == action_kind::put_records,
                           std::move(who), monotonic_us());
    case action_kind::call:
    case action_kind::subscribe:
      return call(std::move(exchange), action, encoding, std::move(who));
    case action_kind::unsupported:
      return answer_kinesis(
          *exchange, encoding,
          kinesis_error{"ValidationException",
                        std::string(action.name) + " is not supported by this server."});
  }
}

void kinesis_door::call(std::shared_ptr<http_exchange> exchange, const kinesis_action& action,
                        wire_encoding encoding, credential_pointer who) {
  const mutable_byte_view body = exchange->request().body;
  if (body.size() > call_bytes_max)
    return answer_kinesis(*exchange, encoding,
                          serialization_error("The request is larger than 1048576 bytes"));
  auto input = parse(encoding, body);
  if (!input.ok() || input->is != wire_value::kind::map)
    return answer_kinesis(*exchange, encoding,
                          serialization_error(input.ok() ? "The request is not a structure"
                                                         : input.failure().message()));
  const shape& wanted = *input_shape(action.name);
  kinesis_outcome failure = check_types(wanted, *input);
  if (!failure) {
    violation_list violations;
    check_constraints(wanted, *input, violations);
    failure = violations.outcome();
  }
  if (failure) return answer_kinesis(*exchange, encoding, *failure);

  std::uint64_t wait_ms = 0;
  if (action.name == "GetRecords")
    failure = parse_wait(exchange->request().header(wait_header), wait_ms);
  if (failure) return answer_kinesis(*exchange, encoding, *failure);

  quota_book* const quotas = parts_.service.quotas;
  if (quotas != nullptr && !quotas->take_call(action.name, monotonic_us()))
    return answer_kinesis(
        *exchange, encoding,
        limit_exceeded("Rate exceeded for account " + parts_.service.options.account + "."));
  const std::uint64_t id = next_call_++;
  const auto& made =
      calls_
          .emplace(
              id, waiting_call{.exchange = std::move(exchange),
                               .encoding = encoding,
                               .action = &action,
                               .who = std::move(who),
                               .input = std::make_shared<const wire_value>(*std::move(input)),
                               .wait_until_us = wait_ms == 0 ? 0 : monotonic_us() + wait_ms * 1000})
          .first->second;
  if (run_call(id)) return;
  answer_kinesis(*made.exchange, encoding, unavailable("Too many requests are waiting."));
  calls_.erase(id);
}

/// What a worker made of a call.
struct kinesis_door::call_answer {
  kinesis_outcome failure;
  std::string body;
  std::optional<read_end> end;  // nothing was there to read
};

bool kinesis_door::run_call(std::uint64_t id) {
  const waiting_call& one = calls_.at(id);
  return parts_.workers.post([this, id, encoding = one.encoding, action = one.action, who = one.who,
                              input = one.input, waits = one.wait_until_us != 0] {
    wire_writer out(encoding);
    auto answer = std::make_shared<call_answer>();
    action_call made{.service = parts_.service,
                     .input = *input,
                     .out = out,
                     .now_us = wall_us(),
                     .action = action->name,
                     .who = who.get(),
                     .end = waits ? &answer->end : nullptr};
    if (action->kind == action_kind::subscribe) {
      subscription_start start;
      const kinesis_outcome outcome = start_subscription(made, start);
      return post_back([this, id, outcome, start] { start_stream(id, outcome, start); });
    }
    if (action->handler == get_records && parts_.unsent.load() >= unsent_bytes_max) {
      answer->failure =
          unavailable("Answers that clients have not taken fill the memory for them.");
      return post_back([this, id, answer] { answer_call(id, *answer); });
    }
    answer->failure = action->handler(made);
    answer->body = out.take();
    post_back([this, id, answer] { answer_call(id, *answer); });
  });
}

void kinesis_door::answer_call(std::uint64_t id, call_answer& answer) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  waiting_call& one = found->second;
  const bool may_wait = answer.end && !is_draining_ && !answer.failure && one.exchange->is_open() &&
                        monotonic_us() < one.wait_until_us;
  if (may_wait) {
    if (waits_.add(id, *answer.end, one.wait_until_us)) return;
    counters_.add(counter::http_waits_refused);
  }
  const waiting_call waiting = std::move(one);
  calls_.erase(found);
  if (answer.failure) return answer_kinesis(*waiting.exchange, waiting.encoding, *answer.failure);
  answer_kinesis(*waiting.exchange, waiting.encoding, std::move(answer.body));
}

void kinesis_door::look_after_waits(std::uint64_t now_us) {
  waits_.tick(now_us);
  for (const std::uint64_t id : waits_.take_ready()) {
    const auto found = calls_.find(id);
    if (found == calls_.end() || run_call(id)) continue;
    answer_kinesis(*found->second.exchange, found->second.encoding,
                   unavailable("Too many requests are waiting."));
    calls_.erase(found);
  }
}

void kinesis_door::start_stream(std::uint64_t id, const kinesis_outcome& failure,
                                const subscription_start& start) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  const waiting_call waiting = std::move(found->second);
  calls_.erase(found);
  if (failure) return answer_kinesis(*waiting.exchange, waiting.encoding, *failure);
  fanout_->add(waiting.exchange, waiting.encoding, start, monotonic_us());
}

void kinesis_door::post_back(std::function<void()> what) {
  {
    std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(what));
  }
  waker_.notify();
}

int kinesis_door::run_posted() {
  {
    std::lock_guard lock(inbox_mutex_);
    std::swap(inbox_, taken_);
  }
  for (const auto& what : taken_)
    what();
  const auto done = static_cast<int>(taken_.size());
  taken_.clear();
  return done;
}

int kinesis_door::do_work(std::uint64_t now_us) {
  int done = filler_.collect(now_us);
  done += puts_->do_work(now_us);
  done += filler_.submit_due(now_us);
  done += run_posted();
  done += news_.take([this](stream_id stream) {
    fanout_->on_news(stream);
    waits_.on_news(stream);
  });
  look_after_waits(now_us);
  done += fanout_->do_work(now_us);
  counters_.set(gauge::http_waiting_reads, waits_.size());
  counters_.set(gauge::http_subscriptions, fanout_->size());
  if (now_us >= next_gauges_us_) {
    next_gauges_us_ = now_us + gauges_period_us;
    filler_.set_gauges(now_us);
  }
  return done;
}

std::uint64_t kinesis_door::next_due_us() const {
  return std::min({filler_.next_due_us(), fanout_->next_due_us(), waits_.next_due_us()});
}

bool kinesis_door::has_work() const {
  if (filler_.has_finished() || news_.any()) return true;
  std::lock_guard lock(inbox_mutex_);
  return !inbox_.empty();
}

bool kinesis_door::drain(std::uint64_t) {
  filler_.submit_all();
  fanout_->abandon();
  is_draining_ = true;
  waits_.end_all();
  return calls_.empty() && puts_->is_empty() && filler_.in_use() == 0;
}

void kinesis_door::abandon() {
  waits_.clear();
  calls_.clear();
  puts_->abandon();
  fanout_->abandon();
  std::lock_guard lock(inbox_mutex_);
  inbox_.clear();
}

}  // namespace millrace
