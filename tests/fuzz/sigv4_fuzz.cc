#include <algorithm>
#include <string>
#include <string_view>

#include "api/sigv4.h"
#include "base/check.h"

/// A request made of the input's lines: target, then headers as "name:value". Nobody without the
/// secret gets through.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace millrace;
  static const credential_set keys = *parse_credentials("KEY a-secret-that-is-not-in-it", "fuzz");
  std::string_view rest(reinterpret_cast<const char*>(bytes), size);
  const auto line = [&] {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view out = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return out;
  };
  const std::string_view target = line();
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  while (!rest.empty()) {
    const std::string_view one = line();
    const std::size_t colon = std::min(one.find(':'), one.size());
    headers.emplace_back(one.substr(0, colon), one.substr(std::min(colon + 1, one.size())));
  }
  const credential* who = nullptr;
  sigv4_verifier verifier(keys);
  const signed_request request{"POST", target, headers, {}};
  const bool knows = verifier.knows(request);
  const auto failure = verifier.verify(request, 1'440'938'160, who);
  MILLRACE_CHECK(failure && who == nullptr, "a forged signature was accepted");
  (void)knows;
  return 0;
}
