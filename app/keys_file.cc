#include "app/keys_file.h"

#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <sys/stat.h>

namespace millrace {
namespace {

bool parse_secret(std::string_view text, std::array<std::uint8_t, 16>& secret) {
  if (text.size() != 2 * secret.size()) return false;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    const char* digits = text.data() + 2 * i;
    const auto [end, problem] = std::from_chars(digits, digits + 2, secret[i], 16);
    if (problem != std::errc() || end != digits + 2) return false;
  }
  return true;
}

bool parse_key(std::string_view text, shared_key& key) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + colon, key.key_id);
  return problem == std::errc() && end == text.data() + colon && key.key_id != 0 &&
         parse_secret(text.substr(colon + 1), key.secret);
}

}  // namespace

result<keyring> parse_keys(std::string_view text, std::string_view source) {
  keyring keys;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    std::string word;
    if (!(words >> word) || word.starts_with('#')) continue;
    keyring_entry entry;
    if (!parse_key(word, entry.key))
      return error(error_code::invalid_argument,
                   fmt::format("{}:{}: not KEY_ID:32 HEX DIGITS with a KEY_ID from 1 to 4294967295",
                               source, number));
    if (keys.find(entry.key.key_id) != nullptr)
      return error(error_code::invalid_argument,
                   fmt::format("{}:{}: key {} is there twice", source, number, entry.key.key_id));
    while (words >> word)
      entry.streams.push_back(word);
    keys.entries.push_back(std::move(entry));
  }
  if (keys.entries.empty())
    return error(error_code::invalid_argument, fmt::format("{}: there is no key in it", source));
  keys.allows_unkeyed = false;
  return keys;
}

result<std::string> read_secret_file(const std::string& what, const std::string& path) {
  const std::string name = what + " '" + path + "'";
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) return error::from_errno(errno, name);
  if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return error(error_code::permission,
                 name + " can be read by others than its owner: chmod 600 it");
  return read_file(what, path);
}

result<std::string> read_file(const std::string& what, const std::string& path) {
  const std::string name = what + " '" + path + "'";
  std::ifstream file(path);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file) return error::from_errno(errno, name);
  return text.str();
}

result<keyring> load_keys_file(const std::string& path) {
  MILLRACE_ASSIGN(const std::string text, read_secret_file("keys file", path));
  return parse_keys(text, path);
}

result<std::shared_ptr<const log_keyring>> load_log_keyring(const std::string& path) {
  if (path.empty()) return std::shared_ptr<const log_keyring>();
  MILLRACE_ASSIGN(const std::string text, read_secret_file("keyring", path));
  MILLRACE_ASSIGN(log_keyring keys, log_keyring::parse(text, path));
  return std::shared_ptr<const log_keyring>(std::make_shared<log_keyring>(std::move(keys)));
}

}  // namespace millrace
