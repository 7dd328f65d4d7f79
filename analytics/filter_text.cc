#include "analytics/filter_text.h"

#include <charconv>
#include <cmath>

#include "analytics/text_lexer.h"
#include "analytics/time_text.h"

namespace millrace {
namespace {

using literal = filter_plan::literal;
using op = filter_plan::kind;

template <class Number>
bool parse_whole(std::string_view text, Number& value) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && problem == std::errc() && end == text.data() + text.size();
}

/// LIKE's pattern 'prefix%' as its prefix, or a text without any wildcard.
struct like_pattern {
  std::string text;
  bool is_prefix = false;
  bool is_understood = true;
};

like_pattern parse_like(std::string_view pattern) {
  like_pattern out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const bool last = i + 1 == pattern.size();
    if (pattern[i] == '\\' && !last) {
      out.text += pattern[++i];
    } else if (pattern[i] == '%' && last) {
      out.is_prefix = true;
    } else if (pattern[i] == '%' || pattern[i] == '_' || pattern[i] == '\\') {
      out.is_understood = false;
    } else {
      out.text += pattern[i];
    }
  }
  return out;
}

filter_plan negated(filter_plan what) {
  filter_plan out;
  out.op = op::negation;
  out.parts.push_back(std::move(what));
  return out;
}

/// Recursive descent: or_filter → and_filter → unary → test.
class filter_parser {
 public:
  filter_parser(std::string_view text, field_scope& fields) : in_(text), fields_(fields) {}

  result<filter_plan> run() {
    MILLRACE_TRY(in_.next());
    MILLRACE_ASSIGN(filter_plan out, or_filter());
    if (in_.current().kind != token_kind::end)
      return in_.wrong("the filter should end here, or go on with 'and' or 'or'");
    return out;
  }

 private:
  result<filter_plan> or_filter() {
    return joined("or", op::any_of, [this] { return and_filter(); });
  }
  result<filter_plan> and_filter() {
    return joined("and", op::all_of, [this] { return unary(); });
  }

  template <class Part>
  result<filter_plan> joined(std::string_view word, op how, Part&& part) {
    MILLRACE_ASSIGN(filter_plan first, part());
    if (!in_.is_word(word)) return first;
    filter_plan out;
    out.op = how;
    out.parts.push_back(std::move(first));
    while (in_.is_word(word)) {
      MILLRACE_TRY(in_.next());
      MILLRACE_ASSIGN(filter_plan another, part());
      out.parts.push_back(std::move(another));
    }
    return out;
  }

  result<filter_plan> unary() {
    const bool negation = in_.is_word("not");
    if (!negation && !in_.is_sign("(")) return test();
    if (++depth_ > filter_depth_max)
      return in_.wrong("nested deeper than the maximum " + std::to_string(filter_depth_max));
    MILLRACE_TRY(in_.next());
    MILLRACE_ASSIGN(filter_plan inner, negation ? unary() : or_filter());
    --depth_;
    if (negation) return negated(std::move(inner));
    MILLRACE_TRY(expect_sign(")"));
    return inner;
  }

  result<filter_plan> test() {
    const token_kind kind = in_.current().kind;
    if (kind != token_kind::word && kind != token_kind::name)
      return in_.wrong("a field should be here, or 'not', or '('");
    filter_plan out;
    auto field = fields_.need(in_.current().text);
    if (!field.ok()) return in_.wrong(field.failure().message());
    out.field = *field;
    MILLRACE_TRY(in_.next());

    const bool negation = in_.is_word("not");
    if (negation) MILLRACE_TRY(in_.next());
    if (in_.is_word("in")) {
      MILLRACE_TRY(one_of(out));
    } else if (in_.is_word("like")) {
      MILLRACE_TRY(like(out));
      if (negation && out.op == op::equal) {
        out.op = op::not_equal;
        return out;
      }
    } else if (in_.is_word("between")) {
      MILLRACE_TRY(between(out));
    } else if (negation) {
      return in_.wrong("'in', 'like' or 'between' should be here");
    } else if (in_.is_word("is")) {
      return null_test(std::move(out));
    } else if (type_of(out) == field_type::boolean && !is_comparison()) {
      out.op = op::equal;
      out.values.emplace_back(true);
    } else {
      MILLRACE_TRY(comparison(out));
    }
    return negation ? negated(std::move(out)) : std::move(out);
  }

  bool is_comparison() const {
    return in_.is_sign("=") || in_.is_sign("!=") || in_.is_sign("<") || in_.is_sign("<=") ||
           in_.is_sign(">") || in_.is_sign(">=");
  }

  status comparison(filter_plan& out) {
    if (!is_comparison())
      return in_.wrong("a comparison should be here: = != < <= > >=, in, like, between, is null");
    out.op = in_.is_sign("=")    ? op::equal
             : in_.is_sign("!=") ? op::not_equal
             : in_.is_sign("<")  ? op::less
             : in_.is_sign("<=") ? op::less_equal
             : in_.is_sign(">")  ? op::greater
                                 : op::greater_equal;
    if (type_of(out) == field_type::boolean && out.op != op::equal && out.op != op::not_equal)
      return in_.wrong("a boolean has no order: use = or !=");
    MILLRACE_TRY(in_.next());
    return value(out);
  }

  status one_of(filter_plan& out) {
    out.op = op::one_of;
    MILLRACE_TRY(in_.next());
    MILLRACE_TRY(expect_sign("("));
    MILLRACE_TRY(value(out));
    while (in_.is_sign(",")) {
      MILLRACE_TRY(in_.next());
      MILLRACE_TRY(value(out));
    }
    return expect_sign(")");
  }

  status like(filter_plan& out) {
    if (type_of(out) != field_type::string) return in_.wrong("only a string can be like something");
    MILLRACE_TRY(in_.next());
    if (in_.current().kind != token_kind::text)
      return in_.wrong("a pattern in single quotes should be here");
    like_pattern pattern = parse_like(in_.current().text);
    if (!pattern.is_understood)
      return in_.wrong(
          "only a prefix is understood: one % at the end; write \\% and \\_ for the characters");
    out.op = pattern.is_prefix ? op::has_prefix : op::equal;
    out.values.emplace_back(std::move(pattern.text));
    return in_.next();
  }

  status between(filter_plan& out) {
    if (type_of(out) == field_type::boolean) return in_.wrong("a boolean has no order");
    filter_plan low;
    filter_plan high;
    low.op = op::greater_equal;
    high.op = op::less_equal;
    low.field = high.field = out.field;
    MILLRACE_TRY(in_.next());
    MILLRACE_TRY(value(low));
    if (!in_.is_word("and")) return in_.wrong("'and' and the upper bound should be here");
    MILLRACE_TRY(in_.next());
    MILLRACE_TRY(value(high));
    out.op = op::all_of;
    out.field = 0;
    out.parts = {std::move(low), std::move(high)};
    return {};
  }

  result<filter_plan> null_test(filter_plan out) {
    out.op = op::is_null;
    MILLRACE_TRY(in_.next());
    const bool negation = in_.is_word("not");
    if (negation) MILLRACE_TRY(in_.next());
    if (!in_.is_word("null")) return in_.wrong("'null' should be here");
    MILLRACE_TRY(in_.next());
    return negation ? negated(std::move(out)) : std::move(out);
  }

  /// One literal of the field's type.
  status value(filter_plan& out) {
    const token& here = in_.current();
    const field_plan& field = fields_.at(out.field);
    const auto wanted = [&](std::string_view what) {
      return in_.wrong("field '" + field.name + "' is compared with " + std::string(what));
    };
    switch (field.type) {
      case field_type::int64: {
        std::int64_t number = 0;
        if (here.kind != token_kind::number || !parse_whole(here.text, number))
          return wanted("a whole number of 64 bits");
        out.values.emplace_back(number);
        break;
      }
      case field_type::float64: {
        double number = 0;
        if (here.kind != token_kind::number || !parse_whole(here.text, number) ||
            !std::isfinite(number))
          return wanted("a number");
        out.values.emplace_back(number);
        break;
      }
      case field_type::string:
        if (here.kind != token_kind::text) return wanted("a text in single quotes");
        out.values.emplace_back(here.text);
        break;
      case field_type::boolean:
        if (!in_.is_word("true") && !in_.is_word("false")) return wanted("true or false");
        out.values.emplace_back(in_.is_word("true"));
        break;
      case field_type::timestamp: {
        const auto time = here.kind == token_kind::text ? parse_instant(here.text) : std::nullopt;
        if (!time) return wanted("a time such as '2026-01-31T12:00:00Z'");
        out.values.emplace_back(*time);
        break;
      }
    }
    return in_.next();
  }

  status expect_sign(std::string_view wanted) {
    if (!in_.is_sign(wanted)) return in_.wrong("'" + std::string(wanted) + "' should be here");
    return in_.next();
  }

  field_type type_of(const filter_plan& test) const { return fields_.at(test.field).type; }

  text_lexer in_;
  field_scope& fields_;
  std::uint32_t depth_ = 0;
};

}  // namespace

result<filter_plan> parse_filter(std::string_view text, field_scope& fields) {
  return filter_parser(text, fields).run();
}

}  // namespace millrace
