#pragma once
/// The tokens of filter_text.h.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace millrace {

enum class token_kind : std::uint8_t {
  end,
  word,    ///< a name or keyword: letters, digits, _ and dots
  name,    ///< "in double quotes": a name, never a keyword
  text,    ///< 'in single quotes'
  number,  ///< 12, -1.5e3
  sign,    ///< ( ) , * = != < <= > >=
};

struct token {
  token_kind kind = token_kind::end;
  std::string text;  ///< without quotes, doubled ones single; == is =, <> is !=
  std::size_t at = 0;
};

/// Reads one token after the other; `current` is looked at, next() goes on.
class text_lexer {
 public:
  explicit text_lexer(std::string_view text) : text_(text) {}

  const token& current() const { return current_; }
  /// Call it once before the first look.
  status next();

  /// A keyword, whatever its case; names in quotes are none.
  bool is_word(std::string_view lower_case) const;
  bool is_sign(std::string_view sign) const {
    return current_.kind == token_kind::sign && current_.text == sign;
  }
  /// "column 7: here is 'foo': " with `message` behind it.
  error wrong(std::string_view message) const;
  error wrong_at(std::size_t at, std::string_view message) const;

 private:
  status quoted(token_kind kind, char quote);
  status sign();

  std::string_view text_;
  std::size_t at_ = 0;
  token current_;
};

}  // namespace millrace
