#pragma once
/// The options of `millrace produce` as text, turned into what the producer library takes.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/credentials.h"
#include "api/kinesis_producer.h"
#include "app/produce.h"
#include "base/error.h"
#include "ingest/producer.h"

namespace millrace {

struct produce_target {
  enum class protocol : std::uint8_t { udp, http, https };
  protocol by = protocol::udp;
  std::string host;
  std::uint16_t port = 0;
};

/// "udp://HOST:PORT", "http://HOST:PORT" or "https://HOST:PORT".
result<produce_target> parse_target(std::string_view to);

/// The key to sign with: of options.credentials, else of the environment (AWS_ACCESS_KEY_ID,
/// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN); none when neither says.
result<std::optional<credential>> find_credential(const produce_options& options);
/// Options for a target of HTTP, with TLS or without.
result<kinesis_producer_options> http_options(const produce_options& options,
                                              const produce_target& target);

/// 32 hex digits as they are, any other text hashed (HMAC-SHA256), empty: random.
producer_id parse_producer_id(std::string_view text);
/// 32 hex digits: what parse_producer_id() gives the same identity for.
std::string to_string(producer_id identity);

/// Reads a file with one line "KEY_ID:32 HEX DIGITS"; blank lines and lines with # are skipped.
result<shared_key> read_key_file(const std::string& path);

/// What contradicts itself or cannot be: a usage error.
status check(const produce_options& options);

}  // namespace millrace
