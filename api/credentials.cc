#include "api/credentials.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

namespace millrace {
namespace {

bool is_allowed(const std::vector<std::string>& patterns, std::string_view name) {
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(), [&](std::string_view one) {
           return one.ends_with('*') ? name.starts_with(one.substr(0, one.size() - 1))
                                     : one == name;
         });
}

bool parse_list(std::string_view text, std::vector<std::string>& into) {
  if (text.empty()) return false;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (comma == 0) return false;
    into.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return true;
}

bool parse_option(std::string_view word, credential& into) {
  if (word.starts_with("actions=")) return parse_list(word.substr(8), into.actions);
  if (word.starts_with("streams=")) return parse_list(word.substr(8), into.streams);
  if (!word.starts_with("token=")) return false;
  into.session_token = word.substr(6);
  return !into.session_token.empty();
}

}  // namespace

bool credential::allows_action(std::string_view action) const {
  return is_allowed(actions, action);
}

bool credential::allows_stream(std::string_view stream) const {
  return is_allowed(streams, stream);
}

const credential* credential_set::find(std::string_view access_key) const {
  const auto found = std::find_if(
      all.begin(), all.end(), [&](const credential& one) { return one.access_key == access_key; });
  return found == all.end() ? nullptr : &*found;
}

credential_store::credential_store(credential_set keys)
    : keys_(std::make_shared<const credential_set>(std::move(keys))) {}

std::shared_ptr<const credential_set> credential_store::current() const {
  std::lock_guard lock(mutex_);
  return keys_;
}

void credential_store::replace(credential_set keys) {
  auto made = std::make_shared<const credential_set>(std::move(keys));
  std::lock_guard lock(mutex_);
  keys_ = std::move(made);
  version_.fetch_add(1, std::memory_order_release);
}

result<credential_set> parse_credentials(std::string_view text, std::string_view source) {
  credential_set out;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    credential one;
    if (!(words >> one.access_key) || one.access_key.starts_with('#')) continue;
    const auto bad = [&](std::string_view why) {
      return error(error_code::invalid_argument, fmt::format("{}:{}: {}", source, number, why));
    };
    if (!(words >> one.secret))
      return bad("not ACCESS_KEY SECRET [actions=A,B*] [streams=S,T*] [token=T]");
    if (out.find(one.access_key) != nullptr) return bad("this access key is there twice");
    std::string word;
    while (words >> word) {
      if (!parse_option(word, one))
        return bad("after the secret come actions=A,B*, streams=S,T* and token=T");
    }
    out.all.push_back(std::move(one));
  }
  if (!out.all.empty()) return out;
  return error(error_code::invalid_argument, fmt::format("{}: there is no key in it", source));
}

}  // namespace millrace
