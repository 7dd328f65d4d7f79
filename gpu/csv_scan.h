#pragma once
/// Fields out of one line of CSV (RFC 4180): columns between delimiters, in quotes where a column
/// holds a delimiter, a line end or a quote, which is then doubled.
///
/// A line ends at the first line feed outside quotes; a carriage return before it belongs to it. An
/// empty column is missing, unless it is written in quotes; so is a column that the line has not.
/// Where something follows a closing quote, or none closes, that column and those behind it are
/// wrong_type. A quote inside a column that does not start with one is an ordinary character.
#include "gpu/field_convert.h"

namespace millrace {

class csv_scanner {
 public:
  MILLRACE_HOST_DEVICE csv_scanner(const extract_tables& tables, byte_range line, field_column out)
      : tables_(tables),
        line_(line),
        out_(out),
        delimiter_(static_cast<unsigned char>(tables.header().csv_delimiter)) {}

  /// All columns are `missing` before.
  MILLRACE_HOST_DEVICE void scan() {
    const csv_column* const wanted = tables_.columns();
    const std::uint32_t count = tables_.header().columns;
    std::uint32_t next = 0;
    for (std::uint32_t column = 0; next < count; ++column) {
      if (!read_column()) {
        for (; next < count; ++next)
          out_[wanted[next].field] = make_null(value_state::wrong_type);
        return;
      }
      for (; next < count && wanted[next].column == column; ++next) {
        if (text_.count == 0 && !quoted_) continue;
        out_[wanted[next].field] =
            convert_text(tables_, tables_.field(wanted[next].field), text_, form_);
      }
      if (ended_) return;
    }
  }

 private:
  MILLRACE_HOST_DEVICE bool read_column() {
    quoted_ = at_ < line_.count && line_[at_] == '"';
    form_ = text_form::plain;
    if (quoted_) return read_quoted();
    const std::uint32_t from = at_;
    at_ = find_either(line_, at_, delimiter_, '\n');
    text_ = line_.part(from, at_);
    if (at_ == line_.count || line_[at_] == '\n') {
      ended_ = true;
      if (text_.count > 0 && text_[text_.count - 1] == '\r') --text_.count;
    }
    ++at_;
    return true;
  }

  MILLRACE_HOST_DEVICE bool read_quoted() {
    const std::uint32_t from = ++at_;
    for (;; ++at_) {
      at_ = find_either(line_, at_, '"', '"');
      if (at_ == line_.count) return false;
      if (at_ + 1 == line_.count || line_[at_ + 1] != '"') break;
      form_ = text_form::csv_quoted;
      ++at_;
    }
    text_ = line_.part(from, at_);
    ++at_;
    if (at_ < line_.count && line_[at_] == delimiter_) {
      ++at_;
      return true;
    }
    ended_ = true;
    if (at_ < line_.count && line_[at_] == '\r') ++at_;
    return at_ == line_.count || line_[at_] == '\n';
  }

  const extract_tables& tables_;
  byte_range line_;
  field_column out_;
  unsigned char delimiter_;
  std::uint32_t at_ = 0;
  // Of the column that was read last:
  byte_range text_{};
  text_form form_ = text_form::plain;
  bool quoted_ = false;
  bool ended_ = false;  ///< the line has no more
};

}  // namespace millrace
