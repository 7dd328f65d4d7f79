#pragma once
/// Fields out of one line of a web server's access log, common or combined format:
///
///   host ident user [time] "request" status bytes
///   host ident user [time] "request" status bytes "referrer" "agent"
///
/// "-" stands for nothing: missing, as are referrer and agent of the common format. In quotes, a
/// backslash makes the quote or backslash after it an ordinary character; other escapes stay as the
/// server wrote them. The user may hold blanks. A request is method, path and protocol; without a
/// protocol (HTTP/0.9) that is missing, and without any blank method and path are too. Where the
/// line breaks off or goes wrong, what was not read yet is wrong_type. What follows the agent is
/// not looked at.
#include "gpu/field_convert.h"

namespace millrace {

class access_log_scanner {
 public:
  MILLRACE_HOST_DEVICE access_log_scanner(const extract_tables& tables, byte_range line,
                                          field_column out)
      : tables_(tables), line_(line), out_(out), parts_(tables.header().parts) {
    while (line_.count > 0 && (line_[line_.count - 1] == '\n' || line_[line_.count - 1] == '\r'))
      --line_.count;
  }

  /// All parts are `missing` before.
  MILLRACE_HOST_DEVICE void scan() {
    if (scan_line()) return;
    const std::uint64_t fields = tables_.header().scanned;
    for (std::uint64_t left = fields; left != 0; left &= left - 1) {
      const auto field = static_cast<std::uint32_t>(lowest_bit(left));
      if ((parts_ >> static_cast<int>(tables_.field(field).part) & 1) != 0) {
        out_[field] = make_null(value_state::wrong_type);
      }
    }
  }

 private:
  /// False: what is left in parts_ could not be read.
  MILLRACE_HOST_DEVICE bool scan_line() {
    byte_range text{};
    if (!read_word(text)) return false;
    give(access_log_part::host, text, text_form::plain);
    if (parts_ == 0) return true;
    if (!read_word(text)) return false;
    give(access_log_part::ident, text, text_form::plain);
    if (parts_ == 0) return true;
    if (!read_user(text)) return false;
    give(access_log_part::user, text, text_form::plain);
    if (parts_ == 0) return true;
    if (!read_time(text)) return false;
    give(access_log_part::time, text, text_form::plain);
    if (parts_ == 0) return true;
    text_form form = text_form::plain;
    if (!read_quoted(text, form)) return false;
    give_request(text, form);
    if (parts_ == 0) return true;
    if (!read_word(text)) return false;
    give(access_log_part::status, text, text_form::plain);
    if (parts_ == 0) return true;
    if (!read_word(text)) return false;
    give(access_log_part::bytes, text, text_form::plain);
    if (parts_ == 0 || at_ >= line_.count) return true;
    if (!read_quoted(text, form)) return false;
    give(access_log_part::referrer, text, form);
    if (parts_ == 0) return true;
    if (!read_quoted(text, form)) return false;
    give(access_log_part::agent, text, form);
    return true;
  }

  /// Up to a blank or the end, and over the blank. At least one character.
  MILLRACE_HOST_DEVICE bool read_word(byte_range& text) {
    const std::uint32_t from = at_;
    at_ = find_either(line_, at_, ' ', ' ');
    text = line_.part(from, at_);
    if (at_ < line_.count) ++at_;
    return text.count > 0;
  }

  /// Up to " [", which is left to read_time() but for the blank.
  MILLRACE_HOST_DEVICE bool read_user(byte_range& text) {
    const std::uint32_t from = at_;
    for (; at_ + 1 < line_.count; ++at_) {
      if (line_[at_] == ' ' && line_[at_ + 1] == '[') {
        text = line_.part(from, at_);
        ++at_;
        return text.count > 0;
      }
    }
    return false;
  }

  MILLRACE_HOST_DEVICE bool read_time(byte_range& text) {
    const std::uint32_t from = at_ + 1;
    at_ = find_either(line_, at_, ']', ']');
    if (line_.count - at_ < 2 || line_[at_ + 1] != ' ') return false;
    text = line_.part(from, at_);
    at_ += 2;
    return true;
  }

  /// What is in quotes, and over the blank behind them, which is there or the line ends.
  MILLRACE_HOST_DEVICE bool read_quoted(byte_range& text, text_form& form) {
    if (at_ >= line_.count || line_[at_] != '"') return false;
    const std::uint32_t from = ++at_;
    form = text_form::plain;
    for (at_ = find_either(line_, at_, '"', '\\'); at_ < line_.count && line_[at_] != '"';
         at_ = find_either(line_, at_, '"', '\\')) {
      if (at_ + 1 < line_.count && text_reader::is_log_escape(line_.bytes[at_ + 1])) {
        form = text_form::log_escaped;
        ++at_;
      }
      ++at_;
    }
    if (at_ >= line_.count) return false;
    text = line_.part(from, at_);
    ++at_;
    if (at_ < line_.count && line_[at_] != ' ') return false;
    ++at_;
    return true;
  }

  MILLRACE_HOST_DEVICE void give_request(byte_range text, text_form form) {
    give(access_log_part::request, text, form);
    if ((parts_ & (bit(access_log_part::method) | bit(access_log_part::path) |
                   bit(access_log_part::protocol))) == 0) {
      return;
    }
    std::uint32_t method_end = 0;
    while (method_end < text.count && text[method_end] != ' ')
      ++method_end;
    std::uint32_t path_end = text.count;
    byte_range protocol = text.part(text.count, text.count);
    std::uint32_t last = text.count;
    while (last > method_end && text[last - 1] != ' ')
      --last;
    if (last > method_end + 1 &&
        equals_word(text.part(last, text.count < last + 5 ? last : last + 5), "HTTP/", 5, 0)) {
      protocol = text.part(last, text.count);
      path_end = last - 1;
    }
    const bool split = method_end < text.count;
    give(access_log_part::method, text.part(0, split ? method_end : 0), form);
    give(access_log_part::path, split ? text.part(method_end + 1, path_end) : text.part(0, 0),
         form);
    give(access_log_part::protocol, protocol, form);
  }

  MILLRACE_HOST_DEVICE void give(access_log_part part, byte_range text, text_form form) {
    if ((parts_ & bit(part)) == 0) return;
    parts_ &= ~bit(part);
    if (text.count == 0 || (text.count == 1 && text[0] == '-')) return;
    for (std::uint64_t left = tables_.header().scanned; left != 0; left &= left - 1) {
      const auto number = static_cast<std::uint32_t>(lowest_bit(left));
      const extract_field& field = tables_.field(number);
      if (field.part == part) out_[number] = convert_text(tables_, field, text, form);
    }
  }

  MILLRACE_HOST_DEVICE static std::uint32_t bit(access_log_part part) {
    return 1u << static_cast<int>(part);
  }

  const extract_tables& tables_;
  byte_range line_;
  field_column out_;
  std::uint32_t parts_;  ///< still wanted
  std::uint32_t at_ = 0;
};

}  // namespace millrace
