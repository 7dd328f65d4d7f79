#include "api/put_client.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "api/json_text.h"
#include "api/sigv4.h"
#include "api/wire_value.h"
#include "base/clock.h"

namespace millrace {
namespace {

constexpr std::string_view json_type = "application/x-amz-json-1.1";
constexpr std::size_t json_padding = 64;  // what parse_json() may read beyond

std::string decimal_of(uint128 value) {
  std::string text;
  do {
    text += static_cast<char>('0' + static_cast<int>(value % 10));
    value /= 10;
  } while (value != 0);
  std::reverse(text.begin(), text.end());
  return text;
}

/// Errors that the same request may not meet again later. Source: the retry tables of botocore.
bool is_worth_another_try(unsigned status, std::string_view name) {
  constexpr std::array<std::string_view, 7> passing{
      "ProvisionedThroughputExceededException",
      "LimitExceededException",
      "ThrottlingException",
      "RequestLimitExceeded",
      "KMSThrottlingException",
      "InternalFailure",
      "ServiceUnavailable",
  };
  return status >= 500 || status == 429 ||
         std::find(passing.begin(), passing.end(), name) != passing.end();
}

/// An answer's JSON; a null value when it is none.
wire_value tree_of(const std::string& body) {
  std::string padded = body;
  padded.append(json_padding, ' ');
  auto tree = parse_json({padded.data(), body.size()});
  return tree.ok() ? *std::move(tree) : wire_value();
}

std::string text_of(const wire_value& of, std::string_view name) {
  const wire_value* const found = of.find(name);
  return found != nullptr ? found->text : std::string();
}

/// One object of the answer's Records; false when it is none.
bool read_record(const wire_value& record, put_result& into) {
  const std::string code = text_of(record, "ErrorCode");
  if (!code.empty()) {
    into.is = is_worth_another_try(200, code) ? put_result::fate::again : put_result::fate::refused;
    into.reason = code + ": " + text_of(record, "ErrorMessage");
    return true;
  }
  const std::string sequence = text_of(record, "SequenceNumber");
  into.is = put_result::fate::stored;
  if (auto place = sequence_number::parse(sequence); place.ok()) into.place = *place;
  return !sequence.empty();
}

bool read_records(const std::string& body, std::size_t count, std::vector<put_result>& into) {
  const wire_value answer = tree_of(body);
  const wire_value* const records = answer.find("Records");
  if (records == nullptr || records->items.size() != count) return false;
  into.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!read_record(records->items[i], into[i])) return false;
  }
  return true;
}

put_result read_failure(const http_reply& reply) {
  const wire_value answer = tree_of(reply.body);
  std::string name = text_of(answer, "__type");
  name = name.substr(name.find('#') + 1);  // npos + 1 is 0
  std::string message = text_of(answer, "message");
  if (message.empty()) message = text_of(answer, "Message");
  const bool again = is_worth_another_try(reply.status, name);
  return {.is = again ? put_result::fate::again : put_result::fate::refused,
          .place = std::nullopt,
          .reason = name.empty() ? fmt::format("HTTP status {}", reply.status)
                                 : fmt::format("{}: {}", name, message)};
}

}  // namespace

put_batch::put_batch(std::string_view stream) {
  body_ = R"({"StreamName":)";
  append_json_string(body_, stream);
  body_ += R"(,"Records":[)";
}

void put_batch::begin_entry() {
  if (!entries_.empty()) body_ += ',';
  entries_.push_back({});
  entries_.back().at = static_cast<std::uint32_t>(body_.size());
}

void put_batch::add(std::uint64_t number, std::uint64_t time_us, std::string_view key,
                    byte_view data, const uint128* hash_key) {
  begin_entry();
  body_ += R"({"Data":")";
  append_base64(body_, data);
  body_ += R"(","PartitionKey":)";
  append_json_string(body_, key);
  if (hash_key != nullptr) body_ += R"(,"ExplicitHashKey":")" + decimal_of(*hash_key) + '"';
  body_ += '}';
  entry& one = entries_.back();
  one.number = number;
  one.time_us = time_us;
  one.bytes = static_cast<std::uint32_t>(body_.size() - one.at);
  one.payload_bytes = static_cast<std::uint32_t>(key.size() + data.size());
  payload_bytes_ += one.payload_bytes;
}

void put_batch::add(const put_batch& from, const entry& which) {
  begin_entry();
  const std::uint32_t at = entries_.back().at;
  entries_.back() = which;
  entries_.back().at = at;
  body_.append(from.body_, which.at, which.bytes);
  payload_bytes_ += which.payload_bytes;
}

const std::string& put_batch::finish() {
  if (!is_finished_) body_ += "]}";
  is_finished_ = true;
  return body_;
}

std::vector<put_result> read_put_answer(const http_reply& reply, std::size_t count) {
  if (reply.status != 200) return std::vector<put_result>(count, read_failure(reply));
  std::vector<put_result> results;
  if (read_records(reply.body, count, results)) return results;
  // Sending them again would store them twice, as far as anybody can tell.
  return std::vector<put_result>(
      count, {.is = put_result::fate::refused,
              .place = std::nullopt,
              .reason = "the answer has no result for each record: is it a Kinesis server's?"});
}

put_client::put_client(const put_client_options& options)
    : options_(options),
      connection_(http_client::create(options.host, options.port, options.trust)) {}

status put_client::connect(std::uint64_t timeout_us) {
  return connection_->connect(timeout_us);
}

result<http_reply> put_client::post(const std::string& body) {
  http_call call{.method = "POST",
                 .target = "/",
                 .headers = {{"Content-Type", std::string(json_type)},
                             {"X-Amz-Target", "Kinesis_20131202.PutRecords"}},
                 .body = body,
                 .timeout_us = options_.timeout_us};
  if (options_.who) {
    if (!options_.who->session_token.empty())
      call.headers.emplace_back("X-Amz-Security-Token", options_.who->session_token);
    const std::string host = connection_->host_header();
    std::vector<std::pair<std::string_view, std::string_view>> covered{{"Host", host}};
    for (const auto& [name, value] : call.headers)
      covered.emplace_back(name, value);
    auto made = sign_sigv4({call.method, call.target, covered, std::as_bytes(std::span(body))},
                           *options_.who, options_.region, wall_us() / 1'000'000);
    std::move(made.begin(), made.end(), std::back_inserter(call.headers));
  }
  return connection_->call(call);
}

std::vector<put_result> put_client::send(put_batch& batch) {
  const std::size_t count = batch.entries().size();
  auto reply = post(batch.finish());
  if (reply.ok()) return read_put_answer(*reply, count);
  return std::vector<put_result>(
      count,
      {.is = put_result::fate::again, .place = std::nullopt, .reason = reply.failure().message()});
}

}  // namespace millrace
