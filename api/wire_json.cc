#include "api/wire_json.h"

#include <array>

#include <simdjson.h>

#include "base/record_format.h"

namespace millrace {
namespace {

using namespace simdjson;

/// One parser a thread: it keeps its index of the text between requests.
ondemand::parser& parser_of_this_thread() {
  thread_local ondemand::parser parser;
  return parser;
}

/// What only begins like `null` is not: is_null() has an error then, which must not be taken for a
/// value.
bool is_null(ondemand::value value) {
  bool found = false;
  return simdjson::simdjson_result<bool>(value.is_null()).get(found) == SUCCESS && found;
}

class tree_builder {
 public:
  bool build(ondemand::value value, wire_value& into, int depth) {
    if (depth > wire_depth_max || ++values_ > wire_values_max) return false;
    ondemand::json_type type{};
    if (value.type().get(type) != SUCCESS) return false;
    switch (type) {
      case ondemand::json_type::null:
        return is_null(value);
      case ondemand::json_type::boolean:
        into.is = wire_value::kind::boolean;
        return value.get_bool().get(into.boolean) == SUCCESS;
      case ondemand::json_type::string: {
        std::string_view text;
        if (value.get_string().get(text) != SUCCESS) return false;
        into.is = wire_value::kind::text;
        into.text = text;
        return true;
      }
      case ondemand::json_type::number:
        return build_number(value, into);
      case ondemand::json_type::array:
        return build_list(value, into, depth);
      case ondemand::json_type::object:
        return build_map(value, into, depth);
    }
    return false;
  }

 private:
  static bool build_number(ondemand::value value, wire_value& into) {
    if (value.get_int64().get(into.integer) == SUCCESS) {
      into.is = wire_value::kind::integer;
      into.real = static_cast<double>(into.integer);
      return true;
    }
    into.is = wire_value::kind::real;
    return value.get_double().get(into.real) == SUCCESS;
  }

  bool build_list(ondemand::value value, wire_value& into, int depth) {
    into.is = wire_value::kind::list;
    ondemand::array array;
    if (value.get_array().get(array) != SUCCESS) return false;
    for (auto item : array) {
      ondemand::value inner;
      if (item.get(inner) != SUCCESS) return false;
      into.items.emplace_back();
      if (!build(inner, into.items.back(), depth + 1)) return false;
    }
    return true;
  }

  bool build_map(ondemand::value value, wire_value& into, int depth) {
    into.is = wire_value::kind::map;
    ondemand::object object;
    if (value.get_object().get(object) != SUCCESS) return false;
    for (auto item : object) {
      ondemand::field field;
      if (std::move(item).get(field) != SUCCESS) return false;
      std::string_view name;
      if (field.unescaped_key().get(name) != SUCCESS) return false;
      into.names.emplace_back(name);
      into.items.emplace_back();
      if (!build(field.value(), into.items.back(), depth + 1)) return false;
    }
    return true;
  }

  std::size_t values_ = 0;
};

bool is_at_end(ondemand::document& document) {
  return document.current_location().error() == OUT_OF_BOUNDS;
}

kinesis_error not_read() {
  return serialization_error("The request is not well-formed JSON");
}

/// Reads one Put request.
class put_reader {
 public:
  put_reader(bool many, mutable_byte_view body, put_request& into)
      : many_(many), body_(body), into_(into), records_(body, many, into) {}

  kinesis_outcome run() {
    const padded_string_view text(reinterpret_cast<const char*>(body_.data()), body_.size(),
                                  body_.size() + SIMDJSON_PADDING);
    ondemand::object object;
    if (parser_of_this_thread().iterate(text).get(document_) != SUCCESS) return not_read();
    if (document_.get_object().get(object) != SUCCESS) return not_read();
    put_builder::part single;
    bool has_records = false;
    for (auto item : object) {
      ondemand::field field;
      std::string_view name;
      if (std::move(item).get(field) != SUCCESS || field.unescaped_key().get(name) != SUCCESS)
        return not_read();
      ondemand::value value = field.value();
      if (many_ && name == "Records") {
        // Its records were written over the text: a second list would be written over other text.
        if (has_records) return not_read();
        if (is_null(value)) continue;
        has_records = true;
        MILLRACE_KINESIS_TRY(read_records(value));
      } else if (!many_ && is_record_member(name)) {
        MILLRACE_KINESIS_TRY(read_member(name, value, single));
      } else {
        into_.members.names.emplace_back(name);
        into_.members.items.emplace_back();
        if (!tree_.build(value, into_.members.items.back(), 1)) return not_read();
      }
    }
    if (!is_at_end(document_)) return not_read();
    if (!many_) MILLRACE_KINESIS_TRY(records_.add(single, true, body_.data() + body_.size()));
    return records_.finish(has_records);
  }

 private:
  static bool is_record_member(std::string_view name) {
    return name == "Data" || name == "PartitionKey" || name == "ExplicitHashKey";
  }

  kinesis_outcome read_records(ondemand::value value) {
    ondemand::array array;
    if (value.get_array().get(array) != SUCCESS) return wrong_type(value, "List");
    for (auto item : array) {
      ondemand::value one;
      if (item.get(one) != SUCCESS) return not_read();
      ondemand::object object;
      if (one.get_object().get(object) != SUCCESS) return wrong_type(one, "Map");
      put_builder::part record;
      for (auto member : object) {
        ondemand::field field;
        std::string_view name;
        if (std::move(member).get(field) != SUCCESS || field.unescaped_key().get(name) != SUCCESS)
          return not_read();
        if (is_record_member(name)) MILLRACE_KINESIS_TRY(read_member(name, field.value(), record));
      }
      // The reader stands at the token after the record's closing brace.
      const char* at = nullptr;
      if (document_.current_location().get(at) != SUCCESS) return not_read();
      const auto consumed = at - reinterpret_cast<const char*>(body_.data());
      MILLRACE_KINESIS_TRY(records_.add(record, true, body_.data() + consumed));
    }
    return std::nullopt;
  }

  static kinesis_error wrong_type(ondemand::value value, std::string_view wanted) {
    ondemand::json_type type{};
    if (value.type().get(type) != SUCCESS) return not_read();
    switch (type) {
      case ondemand::json_type::array:
        return serialization_error("Unrecognized collection type class java.lang." +
                                   std::string(wanted));
      case ondemand::json_type::object:
        return serialization_error("Start of structure or map found where not expected.");
      default:
        return serialization_error("class java.lang." +
                                   std::string(type == ondemand::json_type::string   ? "String"
                                               : type == ondemand::json_type::number ? "Number"
                                                                                     : "Boolean") +
                                   " can not be converted to an " + std::string(wanted));
    }
  }

  /// A Data member's text where it lies, or unescaped when it has escapes (some write "\/").
  kinesis_outcome read_data(ondemand::value value, std::string_view& text) {
    std::string_view token = value.raw_json_token();
    const std::size_t end = token.rfind('"');
    if (token.size() < 2 || token[0] != '"' || end == 0 || end == std::string_view::npos)
      return wrong_type(value, "Blob");
    text = token.substr(1, end - 1);
    if (text.find('\\') == std::string_view::npos) return std::nullopt;
    return value.get_string().get(text) == SUCCESS ? std::nullopt : kinesis_outcome(not_read());
  }

  kinesis_outcome read_member(std::string_view name, ondemand::value value,
                              put_builder::part& into) {
    if (is_null(value)) return std::nullopt;
    if (name == "Data") {
      into.has_data = true;
      return read_data(value, into.data);
    }
    std::string_view text;
    if (const auto failure = value.get_string().get(text); failure != SUCCESS)
      return failure == INCORRECT_TYPE ? wrong_type(value, "String") : not_read();
    if (name == "PartitionKey") {
      into.key = text;
      into.has_key = true;
    } else {
      into.hash_key = text;
      into.has_hash_key = true;
    }
    return std::nullopt;
  }

  const bool many_;
  const mutable_byte_view body_;
  put_request& into_;
  put_builder records_;
  tree_builder tree_;
  ondemand::document document_;
};

}  // namespace

result<wire_value> parse_json(std::string_view text) {
  const padded_string_view padded(text.data(), text.size(), text.size() + SIMDJSON_PADDING);
  ondemand::document document;
  ondemand::value root;
  wire_value out;
  const bool is_good = parser_of_this_thread().iterate(padded).get(document) == SUCCESS &&
                       document.get_value().get(root) == SUCCESS &&
                       tree_builder().build(root, out, 0) && is_at_end(document);
  if (is_good) return out;
  return error(millrace::error_code::invalid_argument, "not JSON");
}

kinesis_outcome decode_put_json(bool many, mutable_byte_view body, put_request& into) {
  return put_reader(many, body, into).run();
}

}  // namespace millrace
