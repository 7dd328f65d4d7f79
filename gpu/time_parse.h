#pragma once
/// Timestamps as microseconds since 1970-01-01T00:00:00Z, from every way of writing them. What lies
/// beyond a microsecond is cut off, towards the past. Only the years 0000 to 9999 are times: sums
/// with windows and delays then stay far from the ends of int64.
#include "gpu/number_parse.h"

namespace millrace {

inline constexpr std::int64_t time_us_min = -62'167'219'200'000'000;  ///< 0000-01-01T00:00:00Z
inline constexpr std::int64_t time_us_max =
    253'402'300'799'999'999;  ///< 9999-12-31T23:59:59.999999Z
/// A longer text is no time.
inline constexpr std::uint32_t time_text_bytes_max = 64;

MILLRACE_HOST_DEVICE inline bool in_time_range(std::int64_t us) {
  return us >= time_us_min && us <= time_us_max;
}

/// Days since 1970-01-01 in the Gregorian calendar: years counted from March, so that the leap day
/// is their last, in eras of 400 years, 146097 days each. `month` is 1 to 12.
MILLRACE_HOST_DEVICE inline std::int64_t days_since_1970(int year, int month, int day) {
  const int shifted = year + 400 - (month <= 2 ? 1 : 0);
  const int era = shifted / 400;
  const int year_of_era = shifted % 400;
  const int day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
  const int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return static_cast<std::int64_t>(era) * 146'097 + day_of_era - 719'468 - 146'097;
}

MILLRACE_HOST_DEVICE inline int days_of_month(int year, int month) {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/// Takes a text apart from its start; once something does not fit, it stays not good.
struct time_cursor {
  byte_range text;
  std::uint32_t at = 0;
  bool good = true;

  MILLRACE_HOST_DEVICE int peek() const { return at < text.count ? text[at] : -1; }
  MILLRACE_HOST_DEVICE void expect(char c) {
    good = good && peek() == static_cast<unsigned char>(c);
    ++at;
  }
  /// Exactly `count` digits.
  MILLRACE_HOST_DEVICE int digits(int count) {
    int value = 0;
    for (int i = 0; i < count; ++i, ++at) {
      const int c = peek();
      if (c < '0' || c > '9') {
        good = false;
        return 0;
      }
      value = value * 10 + (c - '0');
    }
    return value;
  }
  /// "+01:30" or "+0130" as minutes.
  MILLRACE_HOST_DEVICE int offset_minutes(bool with_colon) {
    const int sign = peek();
    good = good && (sign == '+' || sign == '-');
    ++at;
    const int hours = digits(2);
    if (with_colon) expect(':');
    const int minutes = digits(2);
    good = good && hours < 24 && minutes < 60;
    return (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
  }
};

struct time_parts {
  int year, month, day, hour, minute, second;
  int microsecond;
  int offset_minutes;
};

/// False: no such time. A leap second is the first second of the next minute.
MILLRACE_HOST_DEVICE inline bool time_of(const time_parts& parts, std::int64_t& out) {
  if (parts.month < 1 || parts.month > 12 || parts.day < 1 ||
      parts.day > days_of_month(parts.year, parts.month) || parts.hour > 23 || parts.minute > 59 ||
      parts.second > 60) {
    return false;
  }
  const std::int64_t minutes =
      (days_since_1970(parts.year, parts.month, parts.day) * 24 + parts.hour) * 60 + parts.minute -
      parts.offset_minutes;
  out = (minutes * 60 + parts.second) * 1'000'000 + parts.microsecond;
  return in_time_range(out);
}

/// RFC 3339's date-time: 2026-01-31T12:00:00.25Z; a blank may stand for the T.
MILLRACE_HOST_DEVICE inline bool parse_rfc3339(byte_range text, std::int64_t& out) {
  time_cursor cursor{text};
  time_parts parts{};
  parts.year = cursor.digits(4);
  cursor.expect('-');
  parts.month = cursor.digits(2);
  cursor.expect('-');
  parts.day = cursor.digits(2);
  cursor.good = cursor.good && (cursor.peek() == ' ' || (cursor.peek() | 0x20) == 't');
  ++cursor.at;
  parts.hour = cursor.digits(2);
  cursor.expect(':');
  parts.minute = cursor.digits(2);
  cursor.expect(':');
  parts.second = cursor.digits(2);
  if (cursor.peek() == '.') {
    ++cursor.at;
    int unit = 100'000;
    cursor.good = cursor.good && cursor.peek() >= '0' && cursor.peek() <= '9';
    for (; cursor.peek() >= '0' && cursor.peek() <= '9'; ++cursor.at, unit /= 10)
      parts.microsecond += (cursor.peek() - '0') * unit;
  }
  if ((cursor.peek() | 0x20) == 'z') {
    ++cursor.at;
  } else {
    parts.offset_minutes = cursor.offset_minutes(true);
  }
  return cursor.good && cursor.at == text.count && time_of(parts, out);
}

/// 1 to 12, or 0 when the three letters are no month.
MILLRACE_HOST_DEVICE inline int month_of(byte_range text, std::uint32_t at) {
  if (text.count < 3 || at > text.count - 3) return 0;
  switch (static_cast<std::uint32_t>(text[at]) << 16 |
          static_cast<std::uint32_t>(text[at + 1]) << 8 | text[at + 2]) {
    case 'J' << 16 | 'a' << 8 | 'n':
      return 1;
    case 'F' << 16 | 'e' << 8 | 'b':
      return 2;
    case 'M' << 16 | 'a' << 8 | 'r':
      return 3;
    case 'A' << 16 | 'p' << 8 | 'r':
      return 4;
    case 'M' << 16 | 'a' << 8 | 'y':
      return 5;
    case 'J' << 16 | 'u' << 8 | 'n':
      return 6;
    case 'J' << 16 | 'u' << 8 | 'l':
      return 7;
    case 'A' << 16 | 'u' << 8 | 'g':
      return 8;
    case 'S' << 16 | 'e' << 8 | 'p':
      return 9;
    case 'O' << 16 | 'c' << 8 | 't':
      return 10;
    case 'N' << 16 | 'o' << 8 | 'v':
      return 11;
    case 'D' << 16 | 'e' << 8 | 'c':
      return 12;
    default:
      return 0;
  }
}

/// 17/May/2015:10:05:03 +0000
MILLRACE_HOST_DEVICE inline bool parse_access_log_time(byte_range text, std::int64_t& out) {
  time_cursor cursor{text};
  time_parts parts{};
  parts.day = cursor.digits(2);
  cursor.expect('/');
  parts.month = month_of(text, cursor.at);
  cursor.at += 3;
  cursor.expect('/');
  parts.year = cursor.digits(4);
  cursor.expect(':');
  parts.hour = cursor.digits(2);
  cursor.expect(':');
  parts.minute = cursor.digits(2);
  cursor.expect(':');
  parts.second = cursor.digits(2);
  cursor.expect(' ');
  parts.offset_minutes = cursor.offset_minutes(false);
  return cursor.good && cursor.at == text.count && time_of(parts, out);
}

/// A number times 10^`scale` as whole microseconds: scale 6 for seconds, 3 for milliseconds.
MILLRACE_HOST_DEVICE inline bool parse_time_number(const number_text& number, int scale,
                                                   std::int64_t& out) {
  // Digits up to this place count, the ones after it only in not being zero.
  const std::int64_t places =
      static_cast<std::int64_t>(number.whole.count) + number.exponent + scale;
  std::int64_t place = 0;
  std::uint64_t value = 0;
  bool rest = false;
  for (int part = 0; part < 2; ++part) {
    const byte_range digits = part == 0 ? number.whole : number.fraction;
    for (std::uint32_t i = 0; i < digits.count; ++i, ++place) {
      const std::uint32_t digit = digits[i] - '0';
      if (place >= places) {
        rest |= digit != 0;
      } else {
        value = value * 10 + digit;
        if (value > static_cast<std::uint64_t>(time_us_max)) return false;
      }
    }
  }
  for (; place < places && value != 0; ++place) {
    value *= 10;
    if (value > static_cast<std::uint64_t>(time_us_max)) return false;
  }
  out = static_cast<std::int64_t>(value);
  if (number.negative) out = -out - (rest ? 1 : 0);
  return in_time_range(out);
}

}  // namespace millrace
