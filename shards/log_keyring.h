#pragma once
/// The keys of encryption at rest, as a file has them. Nothing here is stored anywhere else.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace millrace {

enum class log_key_state : std::uint8_t { enabled, disabled, pending_deletion };

struct log_key {
  std::uint32_t id = 0;  ///< what blocks name it by; never of another secret again
  std::array<std::byte, 32> secret{};
  std::string name;
  std::vector<std::string> aliases;  ///< "alias/orders"
  std::vector<std::string> streams;  ///< names, or beginnings with * behind; empty: all
  log_key_state state = log_key_state::enabled;

  bool allows_stream(std::string_view stream) const;
};

/// Immutable while a server runs.
class log_keyring {
 public:
  /// A line each: ID:64 HEX DIGITS NAME [alias/NAME…] [streams=S,T*] [state=disabled or
  /// state=pending-deletion]; # begins a comment. The error names `source` and the line, never a
  /// secret.
  static result<log_keyring> parse(std::string_view text, std::string_view source);

  /// Null when there is none.
  const log_key* find(std::uint32_t id) const;
  /// By a KMS key id: a name, an alias, or the ARN of either.
  const log_key* find(std::string_view key_id) const;

 private:
  std::vector<log_key> keys_;
};

}  // namespace millrace
