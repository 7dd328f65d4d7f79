#include <algorithm>
#include <array>
#include <charconv>

#include "analytics/filter_text.h"
#include "analytics/text_lexer.h"

namespace millrace {
namespace {

struct call {
  std::string_view name;
  aggregate_kind kind;
};
constexpr std::array calls{
    call{"count", aggregate_kind::count},
    call{"sum", aggregate_kind::sum},
    call{"min", aggregate_kind::min},
    call{"max", aggregate_kind::max},
    call{"avg", aggregate_kind::avg},
    call{"stddev", aggregate_kind::stddev},
    call{"count_distinct", aggregate_kind::approx_count_distinct},
    call{"approx_count_distinct", aggregate_kind::approx_count_distinct},
    call{"percentile", aggregate_kind::approx_percentile},
    call{"approx_percentile", aggregate_kind::approx_percentile},
    call{"first", aggregate_kind::first},
    call{"last", aggregate_kind::last},
};

std::string known_calls() {
  std::string out;
  for (const call& one : calls)
    out += (out.empty() ? "" : ", ") + std::string(one.name);
  return out;
}

result<double> parse_quantile(text_lexer& in) {
  if (!in.is_sign(",")) return in.wrong("', ' and the share should be here: percentile(x, 0.99)");
  MILLRACE_TRY(in.next());
  const std::string& text = in.current().text;
  double share = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), share);
  if (in.current().kind != token_kind::number || problem != std::errc() ||
      end != text.data() + text.size() || !(share >= 0 && share <= 1))
    return in.wrong("a share from 0 to 1 should be here: 0.99 for the 99th percentile");
  MILLRACE_TRY(in.next());
  return share;
}

}  // namespace

result<aggregate_plan> parse_aggregate(std::string_view text, field_scope& fields) {
  text_lexer in(text);
  MILLRACE_TRY(in.next());
  const auto found = std::find_if(calls.begin(), calls.end(),
                                  [&](const call& one) { return in.is_word(one.name); });
  if (found == calls.end()) return in.wrong("one of these should be here: " + known_calls());
  aggregate_plan out;
  out.kind = found->kind;
  MILLRACE_TRY(in.next());
  if (in.is_sign("(")) {
    MILLRACE_TRY(in.next());
    const bool counts_all =
        out.kind == aggregate_kind::count && (in.is_sign("*") || in.is_sign(")"));
    if (!counts_all) {
      const token_kind kind = in.current().kind;
      if (kind != token_kind::word && kind != token_kind::name)
        return in.wrong("a field should be here");
      auto field = fields.need(in.current().text);
      if (!field.ok()) return in.wrong(field.failure().message());
      out.field = *field;
    }
    if (!in.is_sign(")")) MILLRACE_TRY(in.next());
    if (out.kind == aggregate_kind::approx_percentile) {
      MILLRACE_ASSIGN(out.quantile, parse_quantile(in));
    }
    if (!in.is_sign(")")) return in.wrong("')' should be here");
    MILLRACE_TRY(in.next());
  } else if (out.kind != aggregate_kind::count) {
    return in.wrong("'(' and a field should be here");
  }
  if (in.current().kind != token_kind::end) return in.wrong("the call should end here");
  return out;
}

}  // namespace millrace
