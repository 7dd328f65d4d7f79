#include "api/metrics_text.h"

#include <fmt/format.h>

namespace millrace {
namespace {

/// The exposition format's escapes: backslash and newline; quotes in label values too.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

}  // namespace

void metrics_text::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  out_ += fmt::format("# HELP {} ", name);
  append_escaped(out_, help, false);
  out_ += fmt::format("\n# TYPE {} {}\n", name, type);
}

template <class Labels>
void metrics_text::begin_sample(const Labels& of) {
  out_ += name_;
  char before = '{';
  for (const auto& [name, value] : of) {
    out_ += before;
    out_ += name;
    out_ += "=\"";
    append_escaped(out_, value, true);
    out_ += '"';
    before = ',';
  }
  if (of.size() > 0) out_ += '}';
  out_ += ' ';
}

void metrics_text::sample(double value, labels of) {
  begin_sample(of);
  out_ += fmt::format("{}\n", value);
}

void metrics_text::sample(double value, const label_list& of) {
  begin_sample(of);
  out_ += fmt::format("{}\n", value);
}

void metrics_text::sample(std::uint64_t value, labels of) {
  begin_sample(of);
  out_ += fmt::format("{}\n", value);
}

}  // namespace millrace
