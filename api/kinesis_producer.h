#pragma once
/// The producer over HTTP: PutRecords of the Kinesis API, over several connections at once, against
/// Millrace or any other server of it.
///
/// Records of one key go over one connection, one request after the other; a record that was
/// throttled is sent again and may come after a later one of its key, as Kinesis has it. A
/// connection that broke leaves open what was stored: its records are sent again and may be stored
/// twice. Both are why the record protocol exists (ingest/producer.h).
#include <cstdint>
#include <memory>

#include "api/put_client.h"
#include "ingest/producer.h"

namespace millrace {

struct kinesis_producer_options {
  put_client_options target;
  std::uint32_t connections = 4;
  std::uint32_t records_max = 500;                    ///< of a request, 1 to 500
  std::uint64_t request_bytes_max = 5 * limits::mib;  ///< of a request's keys and data
  std::uint64_t buffer_bytes_max = 64 * limits::mib;  ///< unacked records held; send() waits
  std::uint64_t linger_us = 5'000;                    ///< a request waits no longer to be full
  bool wants_results = false;                         ///< deliver places with outcomes
  std::uint64_t connect_timeout_us = 10'000'000;
};

/// Connects, which says nothing yet of the stream or of the credentials: the first outcome does.
/// Records are numbered from 0.
result<std::unique_ptr<producer>> connect_kinesis_producer(const kinesis_producer_options& options,
                                                           producer::outcome_handler on_outcome);

}  // namespace millrace
