#pragma once
/// The client's side of PutRecords: requests built record by record, signed, sent, and what their
/// answers say of each record.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/credentials.h"
#include "api/http_client.h"
#include "base/error.h"
#include "base/types.h"
#include "shards/sequence_number.h"

namespace millrace {

/// Where requests go, and whose they are.
struct put_client_options {
  std::string host;
  std::uint16_t port = 0;
  std::shared_ptr<http_trust> trust{};  ///< https; null: http
  std::string stream;
  std::optional<credential> who;  ///< none: requests are not signed
  std::string region = "us-east-1";
  std::uint64_t timeout_us = 30'000'000;  ///< of one request
};

/// Records as the text of a PutRecords request. Movable.
class put_batch {
 public:
  struct entry {
    std::uint64_t number = 0;
    std::uint64_t time_us = 0;  ///< whatever the caller gave
    std::uint32_t at = 0;       ///< its text in the body
    std::uint32_t bytes = 0;
    std::uint32_t payload_bytes = 0;  ///< key and data
  };

  explicit put_batch(std::string_view stream);
  void add(std::uint64_t number, std::uint64_t time_us, std::string_view key, byte_view data,
           const uint128* hash_key);
  /// Adds a record of another batch.
  void add(const put_batch& from, const entry& which);

  const std::vector<entry>& entries() const { return entries_; }
  std::uint64_t payload_bytes() const { return payload_bytes_; }
  /// The body of the request. Not after it: add().
  const std::string& finish();

 private:
  void begin_entry();
  std::string body_;
  std::vector<entry> entries_;
  std::uint64_t payload_bytes_ = 0;
  bool is_finished_ = false;
};

/// What became of one record of a request.
struct put_result {
  enum class fate : std::uint8_t { stored, again, refused };
  fate is = fate::again;
  std::optional<sequence_number> place;  ///< when it is stored, and the number is of version 2
  std::string reason;                    ///< when it is not
};

/// Reads an answer to `count` records: all of them have a result, the same one when the request as
/// a whole went wrong. Throttling and errors of the server are `again`, errors of ours `refused`.
std::vector<put_result> read_put_answer(const http_reply& reply, std::size_t count);

/// One connection; one thread.
class put_client {
 public:
  explicit put_client(const put_client_options& options);

  /// Makes the connection, and nothing more.
  status connect(std::uint64_t timeout_us);
  /// Sends the batch. What happens to the connection is `again` for every record: some, or all, may
  /// have been stored.
  std::vector<put_result> send(put_batch& batch);

 private:
  result<http_reply> post(const std::string& body);

  const put_client_options& options_;
  std::unique_ptr<http_client> connection_;
};

}  // namespace millrace
