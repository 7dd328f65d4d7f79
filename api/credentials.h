#pragma once
/// Who may use the Kinesis API: access keys, each with the actions and streams it is for.
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace millrace {

struct credential {
  std::string access_key;
  std::string secret;
  std::string session_token;         ///< when not empty, requests have to carry it
  std::vector<std::string> actions;  ///< names, or beginnings with * behind; empty: all
  std::vector<std::string> streams;  ///< likewise

  bool allows_action(std::string_view action) const;
  bool allows_stream(std::string_view stream) const;
};

/// One of a set, which it keeps.
using credential_pointer = std::shared_ptr<const credential>;

struct credential_set {
  std::vector<credential> all;

  /// Null when there is no such access key.
  const credential* find(std::string_view access_key) const;
};

/// The keys in force, which are replaced while requests are checked. Thread-safe.
class credential_store {
 public:
  explicit credential_store(credential_set keys);

  /// Another number after each replace(): cheap to ask for at every request.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  std::shared_ptr<const credential_set> current() const;
  void replace(credential_set keys);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const credential_set> keys_;
  std::atomic<std::uint64_t> version_{1};
};

/// A line each: ACCESS_KEY SECRET [actions=A,B*] [streams=S,T*] [token=T]; # begins a comment. The
/// error names `source` and the line, never a secret.
result<credential_set> parse_credentials(std::string_view text, std::string_view source);

}  // namespace millrace
