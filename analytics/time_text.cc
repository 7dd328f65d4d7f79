#include "analytics/time_text.h"

#include <array>
#include <charconv>
#include <cmath>

namespace millrace {
namespace {

constexpr std::int64_t second_us = 1'000'000;
constexpr std::int64_t day_us = 86'400 * second_us;

struct unit {
  std::string_view name;
  std::int64_t us;
};
/// The longest first.
constexpr std::array units{
    unit{"d", day_us},    unit{"h", 3'600 * second_us}, unit{"m", 60 * second_us},
    unit{"s", second_us}, unit{"ms", second_us / 1000}, unit{"us", 1}};

struct date {
  std::int64_t year;
  int month;
  int day;
};

// The calendar's arithmetic: a year that begins in March has its leap day last. After Howard
// Hinnant, "chrono-Compatible Low-Level Date Algorithms".
constexpr std::int64_t days_of(const date& when) {
  const std::int64_t year = when.month <= 2 ? when.year - 1 : when.year;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year =
      (153 * (when.month + (when.month > 2 ? -3 : 9)) + 2) / 5 + when.day - 1;
  const std::int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

constexpr date date_of(std::int64_t days) {
  days += 719'468;
  const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const std::int64_t day_of_era = days - era * 146'097;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;
  const int month = static_cast<int>(shifted < 10 ? shifted + 3 : shifted - 9);
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month,
          static_cast<int>(day_of_year - (153 * shifted + 2) / 5 + 1)};
}
static_assert(days_of({1970, 1, 1}) == 0 && days_of({2000, 3, 1}) == 11'017);
static_assert(date_of(11'016).day == 29 && date_of(-1).year == 1969);

void append_digits(std::string& out, std::int64_t value, int count) {
  const std::string digits = std::to_string(value);
  for (int i = static_cast<int>(digits.size()); i < count; ++i)
    out += '0';
  out += digits;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Takes things off the front of a text.
class scanner {
 public:
  explicit scanner(std::string_view text) : text_(text) {}

  bool is_empty() const { return text_.empty(); }
  bool take(char wanted) {
    if (text_.empty() || text_[0] != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool take_digits(std::size_t count, int& value) {
    if (text_.size() < count) return false;
    value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!is_digit(text_[i])) return false;
      value = value * 10 + (text_[i] - '0');
    }
    text_.remove_prefix(count);
    return true;
  }
  /// The decimals of a second, in microseconds; further ones are cut off.
  bool take_fraction(std::int64_t& us) {
    std::int64_t weight = second_us / 10;
    std::size_t count = 0;
    for (; count < text_.size() && is_digit(text_[count]); ++count, weight /= 10)
      us += weight * (text_[count] - '0');
    text_.remove_prefix(count);
    return count > 0;
  }

 private:
  std::string_view text_;
};

int days_in(int year, int month) {
  constexpr std::array days{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[static_cast<std::size_t>(month - 1)] + (month == 2 && leap ? 1 : 0);
}

error not_a_duration(std::string_view what, std::string_view text) {
  return {error_code::invalid_argument, std::string(what) + " '" + std::string(text) +
                                            "' is no duration such as 250ms, 5s, 1m30s or 2h"};
}

}  // namespace

std::string instant_text(std::int64_t time_us) {
  std::int64_t days = time_us / day_us;
  std::int64_t rest = time_us % day_us;
  if (rest < 0) {
    rest += day_us;
    --days;
  }
  const date when = date_of(days);
  std::string out;
  if (when.year < 0 || when.year > 9999) out += when.year < 0 ? '-' : '+';
  append_digits(out, std::abs(when.year), 4);
  const auto part = [&](char before, std::int64_t value) {
    out += before;
    append_digits(out, value, 2);
  };
  part('-', when.month);
  part('-', when.day);
  part('T', rest / (3'600 * second_us));
  part(':', rest / (60 * second_us) % 60);
  part(':', rest / second_us % 60);
  if (const std::int64_t us = rest % second_us; us != 0) {
    out += '.';
    if (us % 1000 == 0) {
      append_digits(out, us / 1000, 3);
    } else {
      append_digits(out, us, 6);
    }
  }
  return out + 'Z';
}

std::optional<std::int64_t> parse_instant(std::string_view text) {
  scanner in(text);
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  const bool shaped = in.take_digits(4, year) && in.take('-') && in.take_digits(2, month) &&
                      in.take('-') && in.take_digits(2, day) &&
                      (in.take('T') || in.take('t') || in.take(' ')) && in.take_digits(2, hour) &&
                      in.take(':') && in.take_digits(2, minute) && in.take(':') &&
                      in.take_digits(2, second);
  if (!shaped || month < 1 || month > 12 || day < 1 || day > days_in(year, month) || hour > 23 ||
      minute > 59 || second > 60)
    return std::nullopt;
  std::int64_t us = 0;
  if (in.take('.') && !in.take_fraction(us)) return std::nullopt;
  int sign = 0;
  int offset_hours = 0;
  int offset_minutes = 0;
  if (!in.take('Z') && !in.take('z')) {
    sign = in.take('+') ? -1 : in.take('-') ? 1 : 0;
    if (sign == 0 || !in.take_digits(2, offset_hours) || !in.take(':') ||
        !in.take_digits(2, offset_minutes) || offset_hours > 23 || offset_minutes > 59)
      return std::nullopt;
  }
  if (!in.is_empty()) return std::nullopt;
  const std::int64_t minutes = hour * 60 + minute + sign * (offset_hours * 60 + offset_minutes);
  const std::int64_t time_us =
      days_of({year, month, day}) * day_us + (minutes * 60 + second) * second_us + us;
  // An offset may lead out of the years that can be written.
  constexpr std::int64_t first_us = days_of({0, 1, 1}) * day_us;
  constexpr std::int64_t end_us = days_of({10'000, 1, 1}) * day_us;
  if (time_us < first_us || time_us >= end_us) return std::nullopt;
  return time_us;
}

result<std::int64_t> parse_duration(std::string_view what, std::string_view text) {
  std::string_view rest = text;
  double total = 0;
  do {
    double number = 0;
    const auto [end, problem] =
        std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (problem != std::errc() || !(number >= 0)) return not_a_duration(what, text);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    const std::string_view name = rest.substr(0, rest.find_first_not_of("dhmsu"));
    const unit* found = nullptr;
    for (const unit& one : units) {
      if (one.name == name) found = &one;
    }
    if (found == nullptr) return not_a_duration(what, text);
    rest.remove_prefix(name.size());
    total += number * static_cast<double>(found->us);
  } while (!rest.empty());
  // Beyond 2^53 a double would no longer be exact; that is 285 years.
  if (total > 9e15)
    return error(error_code::invalid_argument, std::string(what) + " '" + std::string(text) +
                                                   "' is over the maximum of 285 years");
  return static_cast<std::int64_t>(std::llround(total));
}

std::string duration_text(std::int64_t duration_us) {
  if (duration_us == 0) return "0s";
  // A day and a half reads better as 36h than as 1.5d: the longest unit that divides it.
  for (const unit& one : units) {
    if (duration_us % one.us == 0)
      return std::to_string(duration_us / one.us) + std::string(one.name);
  }
  return {};
}

}  // namespace millrace
