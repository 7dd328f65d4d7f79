#include "api/sigv4.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <optional>

#include <fmt/format.h>

#include "api/http_message.h"
#include "ingest/aead.h"

namespace millrace {
namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD";
constexpr std::size_t signing_keys_max = 1024;

byte_view bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

using digest = std::array<std::byte, 32>;

/// Both digits of every byte.
constexpr auto hex_pairs = [] {
  constexpr std::string_view digits = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> out{};
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = {digits[i >> 4], digits[i & 15]};
  return out;
}();

std::array<char, 64> hex_of(const digest& bytes) {
  std::array<char, 64> out;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    std::memcpy(out.data() + 2 * i, hex_pairs[static_cast<std::size_t>(bytes[i])].data(), 2);
  return out;
}

std::string_view view_of(const std::array<char, 64>& hex) {
  return {hex.data(), hex.size()};
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

/// Whether `lower_case` is that name in small letters.
bool is_lowered(std::string_view lower_case, std::string_view name) {
  return std::equal(lower_case.begin(), lower_case.end(), name.begin(), name.end(),
                    [](char a, char b) { return a == lower(b); });
}

std::string_view header(const signed_request& request, std::string_view name) {
  for (const auto& [key, value] : request.headers) {
    if (std::equal(key.begin(), key.end(), name.begin(), name.end(),
                   [](char a, char b) { return lower(a) == lower(b); }))
      return value;
  }
  return {};
}

/// The parts of a text between separators, one after the other; of an empty one, an empty one.
class part_reader {
 public:
  part_reader(std::string_view text, char separator) : rest_(text), separator_(separator) {}

  bool next(std::string_view& part) {
    if (is_over_) return false;
    const std::size_t end = std::min(rest_.find(separator_), rest_.size());
    part = rest_.substr(0, end);
    is_over_ = end == rest_.size();
    rest_.remove_prefix(is_over_ ? end : end + 1);
    return true;
  }
  bool is_over() const { return is_over_; }

 private:
  std::string_view rest_;
  const char separator_;
  bool is_over_ = false;
};

/// Without spaces at the ends, and one for several.
void append_trimmed(std::string& out, std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  const char* at = text.data();
  const char* const end = at + text.size();
  bool is_first = true;
  while (true) {
    at = std::find_if_not(at, end, is_space);
    if (at == end) return;
    const char* const word = at;
    at = std::find_if(at, end, is_space);
    if (!is_first) out += ' ';
    out.append(word, at);
    is_first = false;
  }
}

/// The path is encoded once more than it was sent, as all services but S3 have it.
void append_canonical_path(std::string& out, std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  if (path.empty()) out += '/';
  part_reader rest(path, '/');
  bool is_first = true;
  for (std::string_view part; rest.next(part); is_first = false) {
    if (!is_first) out += '/';
    out += percent_encode(part);
  }
}

std::string canonical_query(const http_fields& query) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : query) {
    if (name != "X-Amz-Signature")
      parts.push_back(percent_encode(name) + '=' + percent_encode(value));
  }
  std::sort(parts.begin(), parts.end());
  return fmt::format("{}", fmt::join(parts, "&"));
}

/// Parts of the signature, where they lie: in a header or in the query.
struct signature_parts {
  std::string_view credential;
  std::string_view signed_headers;
  std::string_view signature;
  std::string_view date;
};

struct scope_parts {
  std::string_view access_key;
  std::string_view date;
  std::string_view scope;  ///< date/region/service/aws4_request
};

std::optional<scope_parts> parse_credential(std::string_view text) {
  std::array<std::string_view, 5> parts;
  part_reader rest(text, '/');
  for (std::string_view& one : parts) {
    if (!rest.next(one)) return std::nullopt;
  }
  // A region and a service are taken as they come, but for the service's name.
  if (!rest.is_over() || parts[0].empty() || parts[3] != "kinesis" || parts[4] != "aws4_request")
    return std::nullopt;
  return scope_parts{
      .access_key = parts[0], .date = parts[1], .scope = text.substr(parts[0].size() + 1)};
}

/// "20260131T120000Z" as seconds since 1970.
std::optional<std::uint64_t> parse_date(std::string_view text) {
  if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
  std::array<unsigned, 6> value{};
  constexpr std::array<std::pair<unsigned, unsigned>, 6> at{
      {{0, 4}, {4, 2}, {6, 2}, {9, 2}, {11, 2}, {13, 2}}};
  for (std::size_t i = 0; i < at.size(); ++i) {
    for (unsigned k = 0; k < at[i].second; ++k) {
      const char c = text[at[i].first + k];
      if (c < '0' || c > '9') return std::nullopt;
      value[i] = value[i] * 10 + static_cast<unsigned>(c - '0');
    }
  }
  namespace chrono = std::chrono;
  const chrono::year_month_day day(chrono::year(static_cast<int>(value[0])),
                                   chrono::month(value[1]), chrono::day(value[2]));
  if (!day.ok() || value[3] > 23 || value[4] > 59 || value[5] > 60) return std::nullopt;
  const auto seconds = chrono::sys_days(day).time_since_epoch() + chrono::hours(value[3]) +
                       chrono::minutes(value[4]) + chrono::seconds(value[5]);
  if (seconds.count() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(seconds.count());
}

std::string date_text(std::uint64_t now_s) {
  const auto seconds = static_cast<std::time_t>(now_s);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 20> text{};
  std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts);
  return text.data();
}

/// "A=1, B=2" after the algorithm.
std::string_view field_of(std::string_view authorization, std::string_view name) {
  part_reader rest(authorization.substr(std::min(algorithm.size(), authorization.size())), ',');
  for (std::string_view one; rest.next(one);) {
    while (one.starts_with(' '))
      one.remove_prefix(1);
    if (one.starts_with(name) && one.substr(name.size()).starts_with('='))
      return one.substr(name.size() + 1);
  }
  return {};
}

kinesis_outcome read_header_form(const signed_request& request, std::string_view authorization,
                                 signature_parts& into) {
  into.credential = field_of(authorization, "Credential");
  into.signed_headers = field_of(authorization, "SignedHeaders");
  into.signature = field_of(authorization, "Signature");
  into.date = header(request, "X-Amz-Date");
  std::string missing;
  for (const auto& [name, value] :
       {std::pair("Credential", &into.credential), std::pair("Signature", &into.signature),
        std::pair("SignedHeaders", &into.signed_headers)}) {
    if (value->empty())
      missing += fmt::format("Authorization header requires '{}' parameter. ", name);
  }
  if (into.date.empty())
    missing +=
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' "
        "header. ";
  if (missing.empty()) return std::nullopt;
  return kinesis_error{"IncompleteSignatureException",
                       missing + "Authorization=" + std::string(authorization)};
}

kinesis_outcome read_query_form(const http_fields& query, signature_parts& into) {
  for (const auto& [name, value] : query) {
    if (name == "X-Amz-Credential") into.credential = value;
    if (name == "X-Amz-SignedHeaders") into.signed_headers = value;
    if (name == "X-Amz-Signature") into.signature = value;
    if (name == "X-Amz-Date") into.date = value;
  }
  if (!into.credential.empty() && !into.signed_headers.empty() && !into.signature.empty() &&
      !into.date.empty())
    return std::nullopt;
  return kinesis_error{"IncompleteSignatureException",
                       "AWS query-string parameters must include 'X-Amz-Algorithm', "
                       "'X-Amz-Credential', 'X-Amz-Signature', 'X-Amz-SignedHeaders' and "
                       "'X-Amz-Date'."};
}

bool is_signed(std::string_view signed_headers, std::string_view name) {
  part_reader rest(signed_headers, ';');
  for (std::string_view one; rest.next(one);) {
    if (is_lowered(one, name)) return true;
  }
  return false;
}

/// Host, and every header that says what is asked for, has to be signed.
bool signs_enough(const signed_request& request, std::string_view signed_headers) {
  if (!is_signed(signed_headers, "host") && !is_signed(signed_headers, ":authority")) return false;
  return std::all_of(request.headers.begin(), request.headers.end(), [&](const auto& one) {
    const std::string_view name = one.first;
    const bool matters =
        is_lowered("x-amz-", name.substr(0, 6)) || is_lowered("content-type", name);
    return !matters || is_lowered("x-amz-security-token", name) || is_lowered("x-amz-date", name) ||
           is_signed(signed_headers, name);
  });
}

void append_canonical_headers(std::string& out, const signed_request& request,
                              std::string_view signed_headers) {
  part_reader rest(signed_headers, ';');
  for (std::string_view name; rest.next(name);) {
    out += name;
    out += ':';
    bool is_first = true;
    for (const auto& [key, value] : request.headers) {
      if (!is_lowered(name, key)) continue;
      if (!is_first) out += ',';
      append_trimmed(out, value);
      is_first = false;
    }
    out += '\n';
  }
}

std::string string_to_sign(const signed_request& request, const http_fields& query,
                           std::string_view signed_headers, std::string_view payload_hash,
                           std::string_view date, std::string_view scope) {
  std::string canonical;
  canonical.reserve(1024);
  canonical += request.method;
  canonical += '\n';
  append_canonical_path(canonical, request.target);
  canonical += '\n';
  canonical += canonical_query(query);
  canonical += '\n';
  append_canonical_headers(canonical, request, signed_headers);
  canonical += '\n';
  canonical += signed_headers;
  canonical += '\n';
  canonical += payload_hash;
  const auto hash = hex_of(sha256(bytes_of(canonical)));
  std::string text;
  text.reserve(256);
  for (const std::string_view part : {algorithm, date, scope, view_of(hash)}) {
    if (!text.empty()) text += '\n';
    text += part;
  }
  return text;
}

digest derive_key(std::string_view secret, std::string_view scope) {
  digest key{};
  const std::string first = "AWS4" + std::string(secret);
  byte_view with = bytes_of(first);
  part_reader rest(scope, '/');
  for (std::string_view part; rest.next(part);) {
    key = hmac_sha256(with, bytes_of(part));
    with = key;
  }
  return key;
}

kinesis_error bad_signature(std::string message) {
  return {"InvalidSignatureException", std::move(message)};
}

}  // namespace

bool sigv4_verifier::knows(const signed_request& request) const {
  const std::string_view authorization = header(request, "Authorization");
  std::string credential(field_of(authorization, "Credential"));
  if (authorization.empty()) {
    std::string path;
    http_fields query;
    if (!parse_target(request.target, path, query)) return false;
    for (const auto& [name, value] : query) {
      if (name == "X-Amz-Credential") credential = value;
    }
  }
  return keys_.find(std::string_view(credential).substr(0, credential.find('/'))) != nullptr;
}

const sigv4_verifier::digest& sigv4_verifier::signing_key(const credential& who,
                                                          std::string_view name,
                                                          std::string_view scope) {
  const auto found = signing_keys_.find(name);
  if (found != signing_keys_.end()) return found->second;
  // A new day, or somebody who tries regions: the few in use come back at once.
  if (signing_keys_.size() >= signing_keys_max) signing_keys_.clear();
  return signing_keys_.emplace(name, derive_key(who.secret, scope)).first->second;
}

kinesis_outcome sigv4_verifier::verify(const signed_request& request, std::uint64_t now_s,
                                       const credential*& who) {
  std::string path;
  http_fields query;
  if (!parse_target(request.target, path, query))
    return bad_signature("The query has a bad escape.");
  const bool in_query = std::any_of(query.begin(), query.end(),
                                    [](const auto& one) { return one.first == "X-Amz-Algorithm"; });
  const std::string_view authorization = header(request, "Authorization");
  if (in_query && !authorization.empty())
    return bad_signature(
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.");
  if (!in_query && authorization.empty())
    return kinesis_error{"MissingAuthenticationTokenException", "Missing Authentication Token"};

  signature_parts parts;
  MILLRACE_KINESIS_TRY(in_query ? read_query_form(query, parts)
                                : read_header_form(request, authorization, parts));
  const auto scope = parse_credential(parts.credential);
  const auto signed_s = parse_date(parts.date);
  if (!scope || !signed_s || scope->date != parts.date.substr(0, 8))
    return bad_signature(
        "Credential should be scoped to a valid date, to the service kinesis and to aws4_request.");
  if (*signed_s + sigv4_skew_s < now_s)
    return bad_signature(fmt::format("Signature expired: {} is now earlier than {} ({} - 15 min.)",
                                     parts.date, date_text(now_s - sigv4_skew_s),
                                     date_text(now_s)));
  if (*signed_s > now_s + sigv4_skew_s)
    return bad_signature(
        fmt::format("Signature not yet current: {} is still later than {} ({} + "
                    "15 min.)",
                    parts.date, date_text(now_s + sigv4_skew_s), date_text(now_s)));
  const credential* const found = keys_.find(scope->access_key);
  const std::string_view token = header(request, "X-Amz-Security-Token");
  const bool token_fits =
      found != nullptr &&
      (found->session_token.empty() || same_bytes(bytes_of(found->session_token), bytes_of(token)));
  if (!token_fits)
    return kinesis_error{"UnrecognizedClientException",
                         "The security token included in the request is invalid."};

  if (!signs_enough(request, parts.signed_headers))
    return bad_signature("'Host', 'Content-Type' and every 'X-Amz-' header must be signed.");
  const std::string_view said = header(request, "X-Amz-Content-SHA256");
  const bool is_hashed = said != unsigned_payload;
  const auto hash_of_body = is_hashed ? hex_of(sha256(request.body)) : std::array<char, 64>{};
  const std::string_view hash = is_hashed ? view_of(hash_of_body) : unsigned_payload;
  const std::string text =
      string_to_sign(request, query, parts.signed_headers, hash, parts.date, scope->scope);
  const digest& key = signing_key(*found, parts.credential, scope->scope);
  const auto wanted = hex_of(hmac_sha256(key, bytes_of(text)));
  if ((!said.empty() && said != hash) ||
      !same_bytes(bytes_of(view_of(wanted)), bytes_of(parts.signature)))
    return bad_signature(
        "The request signature we calculated does not match the signature you provided. Check your "
        "AWS Secret Access Key and signing method. Consult the service documentation for details.");
  who = found;
  return std::nullopt;
}

std::vector<std::pair<std::string, std::string>> sign_sigv4(const signed_request& request,
                                                            const credential& who,
                                                            std::string_view region,
                                                            std::uint64_t now_s) {
  const std::string date = date_text(now_s);
  auto headers = request.headers;
  headers.emplace_back("X-Amz-Date", date);
  std::vector<std::string> names;
  for (const auto& [name, value] : headers)
    names.push_back(lowered(name));
  std::sort(names.begin(), names.end());
  const std::string signed_headers = fmt::format("{}", fmt::join(names, ";"));
  const signed_request dated{request.method, request.target, headers, request.body};
  std::string path;
  http_fields query;
  [[maybe_unused]] const bool is_good = parse_target(request.target, path, query);
  const std::string scope = fmt::format("{}/{}/kinesis/aws4_request", date.substr(0, 8), region);
  const auto hash = hex_of(sha256(request.body));
  const std::string text = string_to_sign(dated, query, signed_headers, view_of(hash), date, scope);
  const auto signature = hex_of(hmac_sha256(derive_key(who.secret, scope), bytes_of(text)));
  return {{"X-Amz-Date", date},
          {"Authorization",
           fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", algorithm,
                       who.access_key, scope, signed_headers, view_of(signature))}};
}

}  // namespace millrace
