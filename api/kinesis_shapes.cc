#include "api/kinesis_shapes.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "api/json_text.h"

namespace millrace {
namespace {

using kind = wire_value::kind;

bool all_of(std::string_view text, std::string_view also) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           also.find(c) != std::string_view::npos;
  });
}

bool is_name(std::string_view text) {
  return all_of(text, "_.-");
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_number(std::string_view text, std::size_t digits_max) {
  return all_digits(text) && text.size() <= digits_max && (text.size() == 1 || text[0] != '0');
}

/// arn:aws.*:kinesis:.*:\d{12}:stream/NAME, and what follows the account.
std::string_view resource_of(std::string_view arn) {
  std::string_view part[5];
  for (std::string_view& one : part) {
    const std::size_t colon = arn.find(':');
    if (colon == std::string_view::npos) return {};
    one = arn.substr(0, colon);
    arn.remove_prefix(colon + 1);
  }
  const bool is_good = part[0] == "arn" && part[1].starts_with("aws") && part[2] == "kinesis" &&
                       part[4].size() == 12 && all_digits(part[4]);
  return is_good && arn.starts_with("stream/") ? arn.substr(7) : std::string_view();
}

bool is_consumer(std::string_view resource) {
  const std::size_t slash = resource.find('/');
  if (slash == std::string_view::npos || !is_name(resource.substr(0, slash))) return false;
  std::string_view rest = resource.substr(slash + 1);
  if (!rest.starts_with("consumer/")) return false;
  rest.remove_prefix(9);
  const std::size_t colon = rest.find(':');
  return colon != std::string_view::npos && is_name(rest.substr(0, colon)) &&
         all_digits(rest.substr(colon + 1));
}

std::string_view text_of(text_pattern pattern) {
  switch (pattern) {
    case text_pattern::any:
      return ".*";
    case text_pattern::name:
      return "[a-zA-Z0-9_.-]+";
    case text_pattern::hash_key:
      return "0|([1-9]\\d{0,38})";
    case text_pattern::sequence:
      return "0|([1-9]\\d{0,128})";
    case text_pattern::stream_arn:
      return "arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+";
    case text_pattern::consumer_arn:
      return "^(arn):aws.*:kinesis:.*:\\d{12}:.*stream\\/[a-zA-Z0-9_.-]+\\/consumer\\/"
             "[a-zA-Z0-9_.-]+:[0-9]+";
  }
  return {};
}

bool is_choice(std::string_view choices, std::string_view text) {
  while (!choices.empty()) {
    const std::size_t comma = choices.find(", ");
    if (choices.substr(0, comma) == text) return true;
    if (comma == std::string_view::npos) break;
    choices.remove_prefix(comma + 2);
  }
  return false;
}

std::string_view java_name(member_kind wanted) {
  switch (wanted) {
    case member_kind::text:
      return "String";
    case member_kind::integer:
      return "Integer";
    case member_kind::boolean:
      return "Boolean";
    case member_kind::time:
      return "Date";
    case member_kind::list:
      return "List";
    case member_kind::map:
    case member_kind::structure:
      return "Map";
  }
  return {};
}

kinesis_error wrong_type(member_kind wanted, kind given) {
  switch (given) {
    case kind::list:
      return serialization_error(
          fmt::format("Unrecognized collection type class java.lang.{}", java_name(wanted)));
    case kind::map:
      return serialization_error("Start of structure or map found where not expected.");
    default:
      break;
  }
  const std::string_view found = given == kind::boolean ? "java.lang.Boolean"
                                 : given == kind::text  ? "java.lang.String"
                                 : given == kind::blob
                                     ? "java.nio.ByteBuffer"
                                     : "com.amazon.coral.value.json.numbers.TruncatingBigNumber";
  return serialization_error(
      fmt::format("class {} can not be converted to an {}", found, java_name(wanted)));
}

bool has_type(const shape_member& wanted, kind given) {
  switch (wanted.kind) {
    case member_kind::text:
      return given == kind::text;
    case member_kind::integer:
      return given == kind::integer || given == kind::real;
    case member_kind::boolean:
      return given == kind::boolean;
    case member_kind::time:
      return given == kind::integer || given == kind::real;
    case member_kind::list:
      return given == kind::list;
    case member_kind::map:
    case member_kind::structure:
      return given == kind::map;
  }
  return false;
}

kinesis_outcome check_type(const shape_member& wanted, const wire_value& given) {
  if (!has_type(wanted, given.is)) return wrong_type(wanted.kind, given.is);
  if (wanted.kind == member_kind::structure) return check_types(*wanted.inner, given);
  if (wanted.kind == member_kind::list || wanted.kind == member_kind::map) {
    for (const wire_value& item : given.items) {
      if (item.is != kind::null)
        MILLRACE_KINESIS_TRY(check_type(wanted.inner->members.back(), item));
    }
  }
  return std::nullopt;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string shown(const wire_value& value) {
  switch (value.is) {
    case kind::text:
      return fmt::format("'{}'", value.text);
    case kind::integer:
      return fmt::format("'{}'", value.integer);
    case kind::real:
      return fmt::format("'{}'", value.real);
    case kind::list:
      return value.items.empty() ? "'[]'" : std::string();
    default:
      return {};
  }
}

void check_value(const shape_member& wanted, const wire_value& value, const std::string& where,
                 violation_list& violations) {
  const bool is_number = wanted.kind == member_kind::integer;
  if (wanted.kind != member_kind::boolean && wanted.kind != member_kind::time) {
    const auto size =
        is_number                          ? (value.is == kind::real
                                                  ? static_cast<std::int64_t>(std::clamp(value.real, -1e15, 1e15))
                                                  : value.integer)
        : wanted.kind == member_kind::text ? static_cast<std::int64_t>(characters(value.text))
                                           : static_cast<std::int64_t>(value.items.size());
    const std::string_view what = is_number ? "value" : "length";
    if (size < wanted.min)
      violations.add(
          shown(value), where,
          fmt::format("Member must have {} greater than or equal to {}", what, wanted.min));
    if (size > wanted.max)
      violations.add(shown(value), where,
                     fmt::format("Member must have {} less than or equal to {}", what, wanted.max));
  }
  if (wanted.kind == member_kind::text) {
    if (!wanted.choices.empty() && !is_choice(wanted.choices, value.text))
      violations.add(shown(value), where,
                     fmt::format("Member must satisfy enum value set: [{}]", wanted.choices));
    if (wanted.pattern != text_pattern::any && !matches(wanted.pattern, value.text))
      violations.add(shown(value), where,
                     fmt::format("Member must satisfy regular expression pattern: {}",
                                 text_of(wanted.pattern)));
  }
  if (wanted.kind == member_kind::structure)
    check_constraints(*wanted.inner, value, violations, where + '.');
  if (wanted.kind == member_kind::list || wanted.kind == member_kind::map) {
    for (std::size_t i = 0; i < value.items.size(); ++i) {
      const std::string inner = fmt::format("{}.{}.member", where, i + 1);
      if (wanted.kind == member_kind::map) {
        wire_value key;
        key.is = kind::text;
        key.text = value.names[i];
        check_value(wanted.inner->members.front(), key, inner, violations);
      }
      if (value.items[i].is == kind::null) {
        violations.add("null", inner, "Member must not be null");
      } else {
        check_value(wanted.inner->members.back(), value.items[i], inner, violations);
      }
    }
  }
}

}  // namespace

bool matches(text_pattern pattern, std::string_view text) {
  switch (pattern) {
    case text_pattern::any:
      return true;
    case text_pattern::name:
      return is_name(text);
    case text_pattern::hash_key:
      return is_number(text, 39);
    case text_pattern::sequence:
      return is_number(text, 129);
    case text_pattern::stream_arn:
      return !resource_of(text).empty();
    case text_pattern::consumer_arn:
      return is_consumer(resource_of(text));
  }
  return false;
}

kinesis_outcome check_types(const shape& wanted, const wire_value& given) {
  for (const shape_member& member : wanted.members) {
    if (const wire_value* const value = given.find(member.name))
      MILLRACE_KINESIS_TRY(check_type(member, *value));
  }
  return std::nullopt;
}

void check_constraints(const shape& wanted, const wire_value& given, violation_list& violations,
                       std::string_view prefix) {
  for (const shape_member& member : wanted.members) {
    const wire_value* const value = given.find(member.name);
    if (value == nullptr && !member.required) continue;
    // Paths begin with a small letter: streamARN, shardLevelMetrics.
    std::string where = std::string(prefix) + std::string(member.name);
    where[prefix.size()] =
        static_cast<char>(std::tolower(static_cast<unsigned char>(where[prefix.size()])));
    if (value != nullptr) {
      check_value(member, *value, where, violations);
    } else {
      violations.add("null", where, "Member must not be null");
    }
  }
}

}  // namespace millrace
