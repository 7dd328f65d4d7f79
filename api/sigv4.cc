#include "api/sigv4.h"

#include <algorithm>
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

std::string hex_of(byte_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const std::byte b : bytes) {
    out += digits[static_cast<unsigned>(b) >> 4];
    out += digits[static_cast<unsigned>(b) & 15];
  }
  return out;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

std::string_view header(const signed_request& request, std::string_view name) {
  for (const auto& [key, value] : request.headers) {
    if (std::equal(key.begin(), key.end(), name.begin(), name.end(),
                   [](char a, char b) { return lower(a) == lower(b); }))
      return value;
  }
  return {};
}

/// Without spaces at the ends, and one for several.
std::string trimmed(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_space = c == ' ' || c == '\t';
    if (!is_space) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t end = text.find(at);
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

/// The path is encoded once more than it was sent, as all services but S3 have it.
std::string canonical_path(std::string_view target) {
  std::string out;
  for (const std::string_view part : split(target.substr(0, target.find('?')), '/')) {
    if (!out.empty() || part.empty()) out += '/';
    out += percent_encode(part);
  }
  // One slash too many: the part before the first one is empty.
  return out.size() > 1 && out.starts_with("//") ? out.substr(1) : out.empty() ? "/" : out;
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

/// Parts of the signature, wherever they were.
struct signature_parts {
  std::string credential;
  std::string signed_headers;
  std::string signature;
  std::string date;
  std::uint64_t expires_s = sigv4_skew_s;
};

struct scope_parts {
  std::string_view access_key;
  std::string_view date;
  std::string_view scope;  ///< date/region/service/aws4_request
};

std::optional<scope_parts> parse_credential(std::string_view text) {
  const auto parts = split(text, '/');
  // A region and a service are taken as they come, but for the service's name.
  if (parts.size() != 5 || parts[0].empty() || parts[3] != "kinesis" || parts[4] != "aws4_request")
    return std::nullopt;
  return scope_parts{
      .access_key = parts[0], .date = parts[1], .scope = text.substr(parts[0].size() + 1)};
}

/// "20260131T120000Z" as seconds since 1970.
std::optional<std::uint64_t> parse_date(std::string_view text) {
  if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
  std::array<int, 6> value{};
  constexpr std::array<std::pair<int, int>, 6> at{
      {{0, 4}, {4, 2}, {6, 2}, {9, 2}, {11, 2}, {13, 2}}};
  for (std::size_t i = 0; i < at.size(); ++i) {
    for (int k = 0; k < at[i].second; ++k) {
      const char c = text[static_cast<std::size_t>(at[i].first + k)];
      if (c < '0' || c > '9') return std::nullopt;
      value[i] = value[i] * 10 + (c - '0');
    }
  }
  std::tm when{};
  when.tm_year = value[0] - 1900;
  when.tm_mon = value[1] - 1;
  when.tm_mday = value[2];
  when.tm_hour = value[3];
  when.tm_min = value[4];
  when.tm_sec = value[5];
  const std::time_t seconds = timegm(&when);
  if (seconds < 0) return std::nullopt;
  return static_cast<std::uint64_t>(seconds);
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
  authorization.remove_prefix(std::min(algorithm.size(), authorization.size()));
  for (std::string_view one : split(authorization, ',')) {
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

/// Every header that says what is asked for has to be signed; an empty text when one is not.
std::string canonical_headers(const signed_request& request, std::string_view signed_headers) {
  const auto names = split(signed_headers, ';');
  const auto is_signed = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!is_signed("host") && !is_signed(":authority")) return {};
  for (const auto& [name, value] : request.headers) {
    const std::string key = lowered(name);
    if ((key.starts_with("x-amz-") || key == "content-type") && !is_signed(key) &&
        key != "x-amz-security-token" && key != "x-amz-date")
      return {};
  }
  std::string out;
  for (const std::string_view name : names) {
    out += name;
    out += ':';
    bool is_first = true;
    for (const auto& [key, value] : request.headers) {
      if (lowered(key) != name) continue;
      if (!is_first) out += ',';
      out += trimmed(value);
      is_first = false;
    }
    out += '\n';
  }
  return out;
}

std::string string_to_sign(const signed_request& request, const http_fields& query,
                           std::string_view headers, std::string_view signed_headers,
                           std::string_view payload_hash, std::string_view date,
                           std::string_view scope) {
  const std::string canonical =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, canonical_path(request.target),
                  canonical_query(query), headers, signed_headers, payload_hash);
  return fmt::format("{}\n{}\n{}\n{}", algorithm, date, scope, hex_of(sha256(bytes_of(canonical))));
}

std::array<std::byte, 32> derive_key(std::string_view secret, std::string_view scope) {
  std::array<std::byte, 32> key{};
  const std::string first = "AWS4" + std::string(secret);
  byte_view with = bytes_of(first);
  for (const std::string_view part : split(scope, '/')) {
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
                                                          std::string_view scope) {
  const std::string name = who.access_key + '/' + std::string(scope);
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
  if (!scope || !signed_s || scope->date != std::string_view(parts.date).substr(0, 8))
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

  const std::string headers = canonical_headers(request, parts.signed_headers);
  if (headers.empty())
    return bad_signature("'Host', 'Content-Type' and every 'X-Amz-' header must be signed.");
  const std::string_view said = header(request, "X-Amz-Content-SHA256");
  const std::string hash =
      said == unsigned_payload ? std::string(said) : hex_of(sha256(request.body));
  const std::string text =
      string_to_sign(request, query, headers, parts.signed_headers, hash, parts.date, scope->scope);
  const std::string wanted = hex_of(hmac_sha256(signing_key(*found, scope->scope), bytes_of(text)));
  if ((!said.empty() && said != hash) || !same_bytes(bytes_of(wanted), bytes_of(parts.signature)))
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
  const std::string text =
      string_to_sign(dated, query, canonical_headers(dated, signed_headers), signed_headers,
                     hex_of(sha256(request.body)), date, scope);
  const std::string signature = hex_of(hmac_sha256(derive_key(who.secret, scope), bytes_of(text)));
  return {
      {"X-Amz-Date", date},
      {"Authorization", fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}",
                                    algorithm, who.access_key, scope, signed_headers, signature)}};
}

}  // namespace millrace
