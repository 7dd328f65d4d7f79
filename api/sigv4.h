#pragma once
/// AWS Signature Version 4: making and checking it. One code for both.
/// Source: "Signing AWS API requests", AWS General Reference.
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/credentials.h"
#include "api/kinesis_error.h"
#include "base/types.h"

namespace millrace {

/// What of a request is signed.
struct signed_request {
  std::string_view method;
  std::string_view target;  ///< as sent: path and query
  const std::vector<std::pair<std::string_view, std::string_view>>& headers;
  byte_view body;
};

inline constexpr std::uint64_t sigv4_skew_s = 15 * 60;

/// Checks requests. Keeps the signing keys it has derived lately. One thread.
class sigv4_verifier {
 public:
  /// `keys` outlives it.
  explicit sigv4_verifier(const credential_set& keys) : keys_(keys) {}

  /// Whether the request names an access key that is known, before its body is there; says nothing
  /// of its signature.
  bool knows(const signed_request& request) const;
  /// Sets `who` when the signature is good; otherwise the error that AWS gives.
  kinesis_outcome verify(const signed_request& request, std::uint64_t now_s,
                         const credential*& who);

 private:
  using digest = std::array<std::byte, 32>;
  /// `name` is the credential as the request has it: the access key and the scope.
  const digest& signing_key(const credential& who, std::string_view name, std::string_view scope);

  const credential_set& keys_;
  std::map<std::string, digest, std::less<>> signing_keys_;
};

/// The headers to add to a request for it to be signed: Authorization and X-Amz-Date. `headers` of
/// the request are all signed and have Host among them.
std::vector<std::pair<std::string, std::string>> sign_sigv4(const signed_request& request,
                                                            const credential& who,
                                                            std::string_view region,
                                                            std::uint64_t now_s);

}  // namespace millrace
