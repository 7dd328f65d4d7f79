#include "analytics/text_lexer.h"

#include <algorithm>

namespace millrace {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool begins_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool goes_on_word(char c) {
  return begins_word(c) || is_digit(c) || c == '.';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

status text_lexer::next() {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
    ++at_;
  current_ = {.kind = token_kind::end, .text = {}, .at = at_};
  if (at_ == text_.size()) return {};
  const char first = text_[at_];
  if (first == '\'') return quoted(token_kind::text, first);
  if (first == '"') return quoted(token_kind::name, first);

  std::size_t end = at_ + 1;
  const char second = end < text_.size() ? text_[end] : '\0';
  if (begins_word(first)) {
    current_.kind = token_kind::word;
    while (end < text_.size() && goes_on_word(text_[end]))
      ++end;
  } else if (is_digit(first) || ((first == '-' || first == '+') && is_digit(second))) {
    // What it is worth is seen by who wants it; here it ends where no number can go on.
    current_.kind = token_kind::number;
    const auto goes_on = [&](char c) {
      const char before = text_[end - 1];
      return is_digit(c) || c == '.' || c == 'e' || c == 'E' ||
             ((c == '-' || c == '+') && (before == 'e' || before == 'E'));
    };
    while (end < text_.size() && goes_on(text_[end]))
      ++end;
  } else {
    return sign();
  }
  current_.text = text_.substr(at_, end - at_);
  at_ = end;
  return {};
}

status text_lexer::sign() {
  current_.kind = token_kind::sign;
  for (const std::string_view two : {"==", "!=", "<>", "<=", ">="}) {
    if (text_.substr(at_, 2) != two) continue;
    current_.text = two == "==" ? "=" : two == "<>" ? "!=" : two;
    at_ += 2;
    return {};
  }
  if (std::string_view("(),*=<>").find(text_[at_]) == std::string_view::npos)
    return wrong_at(at_, "this character means nothing here");
  current_.text = text_[at_++];
  return {};
}

status text_lexer::quoted(token_kind kind, char quote) {
  current_.kind = kind;
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == quote) {
      if (at_ + 1 == text_.size() || text_[at_ + 1] != quote) {
        ++at_;
        return {};
      }
      ++at_;
    }
    current_.text += text_[at_];
  }
  return wrong_at(current_.at, "the quote that begins here does not end");
}

bool text_lexer::is_word(std::string_view lower_case) const {
  return current_.kind == token_kind::word &&
         std::equal(current_.text.begin(), current_.text.end(), lower_case.begin(),
                    lower_case.end(), [](char a, char b) { return lower(a) == b; });
}

error text_lexer::wrong(std::string_view message) const {
  return wrong_at(current_.at, message);
}

error text_lexer::wrong_at(std::size_t at, std::string_view message) const {
  constexpr std::size_t shown_max = 20;
  std::string out = "column " + std::to_string(at + 1) + ": ";
  if (at < text_.size()) {
    out += "at \"" + std::string(text_.substr(at, shown_max));
    out += text_.size() - at > shown_max ? "…\": " : "\": ";
  } else {
    out += "at the end: ";
  }
  return {error_code::invalid_argument, out + std::string(message)};
}

}  // namespace millrace
