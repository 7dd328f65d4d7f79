#include "api/put_request.h"

#include <array>
#include <cstring>

#include <fmt/format.h>

#include "api/kinesis_shapes.h"
#include "api/put_builder.h"
#include "api/put_cbor.h"
#include "api/wire_json.h"
#include "base/base64.h"
#include "base/limits.h"
#include "base/record_format.h"

namespace millrace {

void put_request::clear() {
  members = {};
  members.is = wire_value::kind::map;
  records.clear();
  payload_bytes = 0;
  payload_bytes_max = largest = 0;
}

std::string_view put_request::text(std::string_view name) const {
  const wire_value* const found = members.find(name);
  return found != nullptr ? std::string_view(found->text) : std::string_view();
}

bool parse_hash_key(std::string_view text, uint128& value, bool& is_too_large) {
  constexpr std::size_t digits_max = 39;
  is_too_large = false;
  value = 0;
  if (text.empty() || text.size() > digits_max || (text.size() > 1 && text[0] == '0')) return false;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    const auto digit = static_cast<uint128>(c - '0');
    if (value > (uint128_max - digit) / 10) is_too_large = true;
    value = value * 10 + digit;
  }
  return true;
}

std::string put_builder::member(std::string_view name) const {
  return many_ ? fmt::format("records.{}.member.{}", count_, name) : std::string(name);
}

bool put_builder::check(const part& what) {
  const std::size_t before = violations_.count();
  if (!what.has_data) violations_.add("null", member("data"), "Member must not be null");
  if (what.has_data && what.data.size() > limits::record_payload_bytes_max)
    violations_.add({}, member("data"),
                    fmt::format("Member must have length less than or equal to {}",
                                limits::record_payload_bytes_max));
  if (!what.has_key) {
    violations_.add("null", member("partitionKey"), "Member must not be null");
  } else {
    switch (check_partition_key(what.key)) {
      case record_fault::none:
        break;
      case record_fault::empty_key:
        violations_.add("''", member("partitionKey"),
                        "Member must have length greater than or equal to 1");
        break;
      case record_fault::key_too_long:
        violations_.add(fmt::format("'{}'", what.key), member("partitionKey"),
                        "Member must have length less than or equal to 256");
        break;
      default:
        violations_.add({}, member("partitionKey"), "Member must be UTF-8");
    }
  }
  return violations_.count() == before;
}

kinesis_outcome put_builder::add(const part& what, bool is_base64, std::byte* consumed) {
  ++count_;
  part one = what;
  if (is_base64) one.data = what.data.substr(0, base64_decoded_bytes(what.data));
  bool is_good = check(one);
  uint128 hash_key = 0;
  if (what.has_hash_key) {
    bool is_too_large = false;
    if (!parse_hash_key(what.hash_key, hash_key, is_too_large)) {
      violations_.add(fmt::format("'{}'", what.hash_key), member("explicitHashKey"),
                      "Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})");
      is_good = false;
    } else if (is_too_large && !semantic_) {
      semantic_ = invalid_argument(
          fmt::format("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]."
                      " Specified value was {}",
                      what.hash_key));
    }
  }
  if (!is_good || violations_.count() > 0) {
    if (is_base64 && what.data.size() % 4 != 0) return not_base64(what.data);
    return std::nullopt;
  }

  // The key may lie where the record goes.
  std::array<char, limits::partition_key_bytes_max> key;
  std::memcpy(key.data(), what.key.data(), what.key.size());
  const std::size_t fixed =
      sizeof(record_header) + (what.has_hash_key ? explicit_hash_key_bytes : 0);
  const std::uint32_t stride = record_stride(what.key.size(), one.data.size(), what.has_hash_key);
  MILLRACE_CHECK(to_ + stride <= consumed, "a record is never longer than its text");

  std::byte* const data = to_ + fixed + what.key.size();
  if (is_base64) {
    const auto* const text = reinterpret_cast<const std::byte*>(what.data.data());
    // Behind the text, it would overwrite what it reads.
    const bool direct = data <= text;
    auto* const at = direct ? data : const_cast<std::byte*>(text);
    if (!decode_base64(what.data, at)) return not_base64({});
    if (!direct) std::memmove(data, at, one.data.size());
  } else if (!one.data.empty()) {
    std::memmove(data, one.data.data(), one.data.size());
  }
  std::byte* const end = data + one.data.size();
  std::memset(end, 0, static_cast<std::size_t>(to_ + stride - end));
  write_record_head(to_, {key.data(), what.key.size()}, one.data.size(),
                    what.has_hash_key ? &hash_key : nullptr);
  into_.records.push_back(
      {.bytes = to_,
       .stride = stride,
       .key_bytes = static_cast<std::uint16_t>(what.key.size()),
       .flags = static_cast<std::uint8_t>(what.has_hash_key ? record_has_hash_key : 0)});
  const auto payload = static_cast<std::uint32_t>(what.key.size() + one.data.size());
  into_.payload_bytes += payload;
  if (payload > into_.payload_bytes_max) {
    into_.payload_bytes_max = payload;
    into_.largest = static_cast<std::uint32_t>(count_);
  }
  to_ += stride;
  return std::nullopt;
}

kinesis_error put_builder::not_base64(std::string_view text) {
  if (text.empty()) return serialization_error("Data is not base64: Invalid Base64 character");
  return serialization_error(
      fmt::format("Data is not base64: Base64 encoded length is expected a multiple of 4 bytes but "
                  "found: {}",
                  text.size()));
}

kinesis_outcome put_builder::finish(bool has_records) {
  if (many_) {
    if (!has_records) {
      violations_.add("null", "records", "Member must not be null");
    } else if (count_ == 0) {
      violations_.add("'[]'", "records", "Member must have length greater than or equal to 1");
    } else if (count_ > put_records_max) {
      violations_.add(
          {}, "records",
          fmt::format("Member must have length less than or equal to {}", put_records_max));
    }
  }
  const shape& wanted = many_ ? put_records_shape : put_record_shape;
  MILLRACE_KINESIS_TRY(check_types(wanted, into_.members));
  check_constraints(wanted, into_.members, violations_);
  MILLRACE_KINESIS_TRY(violations_.outcome());
  return semantic_;
}

kinesis_outcome decode_put(wire_encoding encoding, bool many, mutable_byte_view body,
                           put_request& into) {
  into.clear();
  return encoding == wire_encoding::json ? decode_put_json(many, body, into)
                                         : decode_put_cbor(many, body, into);
}

}  // namespace millrace
