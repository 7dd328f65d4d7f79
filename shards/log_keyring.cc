#include "shards/log_keyring.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

namespace millrace {
namespace {

std::optional<std::array<std::byte, 32>> parse_secret(std::string_view text) {
  std::array<std::byte, 32> secret{};
  if (text.size() != 2 * secret.size()) return std::nullopt;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    unsigned value = 0;
    const char* const at = text.data() + 2 * i;
    const auto [end, failure] = std::from_chars(at, at + 2, value, 16);
    if (failure != std::errc() || end != at + 2) return std::nullopt;
    secret[i] = static_cast<std::byte>(value);
  }
  return secret;
}

bool parse_start(const std::string& word, log_key& into) {
  const std::size_t colon = word.find(':');
  if (colon == word.npos) return false;
  const auto [end, failure] = std::from_chars(word.data(), word.data() + colon, into.id);
  const auto secret = parse_secret(std::string_view(word).substr(colon + 1));
  if (failure != std::errc() || end != word.data() + colon || into.id == 0 || !secret) return false;
  into.secret = *secret;
  return true;
}

bool parse_option(const std::string& word, log_key& into) {
  if (word.starts_with("alias/")) {
    into.aliases.push_back(word);
    return true;
  }
  if (word == "state=disabled") {
    into.state = log_key_state::disabled;
    return true;
  }
  if (word == "state=pending-deletion") {
    into.state = log_key_state::pending_deletion;
    return true;
  }
  if (!word.starts_with("streams=")) return false;
  std::istringstream names(word.substr(8));
  for (std::string name; std::getline(names, name, ',');)
    into.streams.push_back(name);
  return !into.streams.empty();
}

}  // namespace

bool log_key::allows_stream(std::string_view stream) const {
  return streams.empty() || std::ranges::any_of(streams, [&](std::string_view one) {
           return one.ends_with('*') ? stream.starts_with(one.substr(0, one.size() - 1))
                                     : one == stream;
         });
}

result<log_keyring> log_keyring::parse(std::string_view text, std::string_view source) {
  log_keyring out;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    std::string word;
    if (!(words >> word) || word.starts_with('#')) continue;
    const auto bad = [&](std::string_view why) {
      return error(error_code::invalid_argument,
                   std::string(source) + ":" + std::to_string(number) + ": " + std::string(why));
    };
    log_key one;
    if (!parse_start(word, one) || !(words >> one.name))
      return bad("not ID:64 HEX DIGITS NAME, with an ID from 1 on");
    while (words >> word) {
      if (!parse_option(word, one))
        return bad(
            "after the name come alias/NAME, streams=S,T* and state=disabled or "
            "state=pending-deletion");
    }
    if (out.find(one.id) != nullptr) return bad("this ID is there twice");
    if (out.find(one.name) != nullptr) return bad("this name is there twice");
    for (const std::string& alias : one.aliases) {
      if (out.find(alias) != nullptr) return bad("the alias " + alias + " is there twice");
    }
    out.keys_.push_back(std::move(one));
  }
  if (!out.keys_.empty()) return out;
  return error(error_code::invalid_argument, std::string(source) + ": there is no key in it");
}

const log_key* log_keyring::find(std::uint32_t id) const {
  const auto found = std::ranges::find_if(keys_, [&](const log_key& one) { return one.id == id; });
  return found == keys_.end() ? nullptr : &*found;
}

const log_key* log_keyring::find(std::string_view key_id) const {
  // arn:aws:kms:REGION:ACCOUNT:key/NAME, or :alias/NAME.
  if (key_id.starts_with("arn:")) key_id.remove_prefix(key_id.rfind(':') + 1);
  if (key_id.starts_with("key/")) key_id.remove_prefix(4);
  const auto found = std::ranges::find_if(keys_, [&](const log_key& one) {
    return one.name == key_id || std::ranges::find(one.aliases, key_id) != one.aliases.end();
  });
  return found == keys_.end() ? nullptr : &*found;
}

}  // namespace millrace
