/// The one place that uses simdjson.
#include <charconv>
#include <vector>

#include <simdjson.h>

#include "ingest/key_finder.h"
#include "ingest/record_input.h"

namespace millrace {
namespace {

static_assert(record_input::padding_bytes >= simdjson::SIMDJSON_PADDING);

class json_finder final : public key_finder {
 public:
  explicit json_finder(const std::string& path) : path_(path) {
    for (std::size_t from = 0; !path.empty() && from <= path.size();) {
      const std::size_t dot = std::min(path.find('.', from), path.size());
      steps_.push_back(path.substr(from, dot - from));
      from = dot + 1;
    }
  }

  result<std::string_view> find(std::string_view text) override {
    simdjson::dom::element document;
    // Unpadded on purpose: whoever reads the input keeps room behind it.
    if (const auto fault = parser_.parse(text.data(), text.size(), false).get(document)) {
      return error(error_code::invalid_argument,
                   std::string("not JSON: ") + simdjson::error_message(fault));
    }
    if (!document.is_object()) return error(error_code::invalid_argument, "not a JSON object");
    if (steps_.empty()) return std::string_view();
    simdjson::dom::element at = document;
    for (const std::string& step : steps_) {
      if (at.at_key(step).get(at)) {
        return error(error_code::invalid_argument, "no field '" + path_ + "' for the key");
      }
    }
    return text_of(at);
  }

 private:
  result<std::string_view> text_of(const simdjson::dom::element& value) {
    switch (value.type()) {
      case simdjson::dom::element_type::STRING:
        return value.get_string().value_unsafe();
      case simdjson::dom::element_type::INT64:
        return number(value.get_int64().value_unsafe());
      case simdjson::dom::element_type::UINT64:
        return number(value.get_uint64().value_unsafe());
      case simdjson::dom::element_type::DOUBLE:
        return number(value.get_double().value_unsafe());
      case simdjson::dom::element_type::BOOL:
        return std::string_view(value.get_bool().value_unsafe() ? "true" : "false");
      default:
        return error(error_code::invalid_argument,
                     "field '" + path_ + "' is no string, number or truth value");
    }
  }

  template <class Number>
  std::string_view number(Number value) {
    const auto end = std::to_chars(digits_, digits_ + sizeof digits_, value).ptr;
    return {digits_, static_cast<std::size_t>(end - digits_)};
  }

  std::string path_;
  std::vector<std::string> steps_;
  simdjson::dom::parser parser_;
  char digits_[32];
};

}  // namespace

std::unique_ptr<key_finder> make_json_finder(const std::string& path) {
  return std::make_unique<json_finder>(path);
}

}  // namespace millrace
