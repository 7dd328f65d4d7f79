#include "ingest/key_finder.h"

#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

namespace millrace {
namespace {

constexpr std::string_view blanks = " \t\r\v\f";

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || value == 0) return std::nullopt;
  return value;
}

class token_finder final : public key_finder {
 public:
  explicit token_finder(std::uint32_t number) : number_(number) {}

  result<std::string_view> find(std::string_view text) override {
    std::size_t from = text.find_first_not_of(blanks);
    for (std::uint32_t seen = 1; from != text.npos; ++seen) {
      const std::size_t to = std::min(text.find_first_of(blanks, from), text.size());
      if (seen == number_) return text.substr(from, to - from);
      from = text.find_first_not_of(blanks, to);
    }
    return error(error_code::invalid_argument,
                 "no token " + std::to_string(number_) + " for the key");
  }

 private:
  std::uint32_t number_;
};

/// Takes the next field off a row's `rest`; what a quoted one means goes to `unquoted`.
std::string_view take_field(std::string_view& rest, std::string& unquoted) {
  if (rest.empty() || rest.front() != '"') {
    const std::size_t comma = rest.find(',');
    const std::string_view field = rest.substr(0, comma);
    rest = comma == rest.npos ? std::string_view() : rest.substr(comma);
    return field;
  }
  unquoted.clear();
  std::size_t at = 1;
  while (at < rest.size()) {
    const std::size_t quote = std::min(rest.find('"', at), rest.size());
    unquoted.append(rest, at, quote - at);
    at = quote + 1;
    if (at >= rest.size() || rest[at] != '"') break;
    unquoted += '"';  // a doubled quote stands for one
    ++at;
  }
  // What follows the closing quote belongs to the field as it is, as most readers have it.
  const std::size_t comma = std::min(rest.find(',', std::min(at, rest.size())), rest.size());
  if (at < comma) unquoted.append(rest, at, comma - at);
  rest = rest.substr(comma);
  return unquoted;
}

/// Calls `visit(index, field)` for each column, from 0; returns how many there are.
template <class Visit>
std::uint32_t for_each_column(std::string_view row, std::string& unquoted, Visit visit) {
  std::uint32_t count = 0;
  for (;;) {
    visit(count++, take_field(row, unquoted));
    if (row.empty()) return count;
    row.remove_prefix(1);  // the comma
  }
}

class csv_finder final : public key_finder {
 public:
  csv_finder(std::uint32_t columns, std::optional<std::uint32_t> column)
      : columns_(columns), column_(column) {}

  result<std::string_view> find(std::string_view text) override {
    key_.clear();
    const std::uint32_t count =
        for_each_column(text, unquoted_, [&](std::uint32_t i, std::string_view field) {
          if (column_ && i == *column_) key_ = field;
        });
    if (count != columns_) {
      return error(
          error_code::invalid_argument,
          std::to_string(count) + " columns where the header has " + std::to_string(columns_));
    }
    return std::string_view(key_);
  }

 private:
  std::uint32_t columns_;
  std::optional<std::uint32_t> column_;
  std::string unquoted_;
  std::string key_;
};

}  // namespace

result<std::unique_ptr<key_finder>> make_token_finder(const std::string& field) {
  const auto number = parse_number(field);
  if (!number) {
    return error(error_code::invalid_argument,
                 "key field '" + field + "': for lines it is a token's number, from 1");
  }
  return std::unique_ptr<key_finder>(new token_finder(*number));
}

result<std::unique_ptr<key_finder>> make_csv_finder(const std::string& field,
                                                    std::string_view header) {
  std::optional<std::uint32_t> column;
  std::string unquoted;
  const std::uint32_t columns =
      for_each_column(header, unquoted, [&](std::uint32_t i, std::string_view name) {
        if (!field.empty() && !column && name == field) column = i;
      });
  if (!field.empty() && !column) {
    const auto number = parse_number(field);
    if (!number || *number > columns) {
      return error(error_code::invalid_argument, "key field '" + field +
                                                     "': no such column among " +
                                                     std::to_string(columns) + " in the header");
    }
    column = *number - 1;
  }
  return std::unique_ptr<key_finder>(new csv_finder(columns, column));
}

std::size_t find_csv_row_end(std::string_view text, std::size_t& from, bool& in_quotes) {
  while (from < text.size()) {
    const std::size_t at = in_quotes ? text.find('"', from) : text.find_first_of("\"\n", from);
    if (at == text.npos) break;
    from = at + 1;
    if (text[at] == '\n') return at;
    in_quotes = !in_quotes;  // a doubled quote turns it twice
  }
  from = text.size();
  return text.npos;
}

}  // namespace millrace
