#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <simdjson.h>

#include "base/check.h"
#include "base/record_format.h"
#include "gpu/extract.h"
#include "gpu/extract_record.h"

// The first byte picks the layout, the rest is one record's data. Every level of extract() gives
// what extract_record() gives; texts can be read to their end; and where simdjson takes a JSON
// document, the values are what it finds.
namespace millrace {
namespace {

const std::vector<field_plan>& plan_of(record_layout layout) {
  static const auto json = [](std::string path, field_type type) {
    return field_plan{.name = path, .type = type, .source = json_source{path}};
  };
  static const auto csv = [](std::uint32_t column, field_type type) {
    return field_plan{.name = "column",
                      .type = type,
                      .source = csv_source{column},
                      .format = time_format::rfc3339};
  };
  static const auto part = [](access_log_part which, field_type type) {
    return field_plan{.name = "part",
                      .type = type,
                      .source = access_log_source{which},
                      .format = time_format::access_log};
  };
  // The fields that simdjson is asked for come first.
  static const std::vector<field_plan> of_json = {
      json("a", field_type::int64),          json("b", field_type::string),
      json("c", field_type::float64),        json("d", field_type::boolean),
      json("e.f", field_type::string),       json("e.g[1]", field_type::int64),
      json("e.g[2].h", field_type::float64), json("[0]", field_type::string),
      json("t", field_type::timestamp)};
  static const std::vector<field_plan> of_csv = {
      csv(0, field_type::string), csv(1, field_type::int64), csv(2, field_type::float64),
      csv(3, field_type::timestamp), csv(6, field_type::boolean)};
  static const std::vector<field_plan> of_log = {
      part(access_log_part::host, field_type::string),
      part(access_log_part::user, field_type::string),
      part(access_log_part::time, field_type::timestamp),
      part(access_log_part::method, field_type::string),
      part(access_log_part::path, field_type::string),
      part(access_log_part::protocol, field_type::string),
      part(access_log_part::status, field_type::int64),
      part(access_log_part::agent, field_type::string)};
  return layout == record_layout::json ? of_json : layout == record_layout::csv ? of_csv : of_log;
}

std::string text_of(const field_value& value) {
  std::string text;
  text_reader reader(value);
  for (int c = reader.next(); c != text_reader::at_end; c = reader.next())
    text += static_cast<char>(c);
  return text;
}

struct step {
  const char* name;
  int element;
};

std::optional<simdjson::dom::element> find(simdjson::dom::element at, std::vector<step> path) {
  for (const step& next : path) {
    simdjson::dom::element found;
    const auto failure = next.name != nullptr
                             ? at.at_key(next.name).get(found)
                             : at.at(static_cast<std::size_t>(next.element)).get(found);
    if (failure) return {};
    at = found;
  }
  return at;
}

void check_against_simdjson(simdjson::dom::element root, const std::vector<field_value>& values) {
  const std::vector<std::vector<step>> paths = {{{"a", 0}},
                                                {{"b", 0}},
                                                {{"c", 0}},
                                                {{"d", 0}},
                                                {{"e", 0}, {"f", 0}},
                                                {{"e", 0}, {"g", 0}, {nullptr, 1}},
                                                {{"e", 0}, {"g", 0}, {nullptr, 2}, {"h", 0}},
                                                {{nullptr, 0}}};
  const std::vector<field_plan>& fields = plan_of(record_layout::json);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const field_value& value = values[i];
    const auto found = find(root, paths[i]);
    if (!found || found->is_null()) {
      MILLRACE_CHECK(value.state == value_state::missing, "simdjson finds nothing either");
      continue;
    }
    MILLRACE_CHECK(value.state != value_state::missing, "what simdjson finds is there");
    bool same = true;
    bool readable = true;
    if (fields[i].type == field_type::int64) {
      std::int64_t number = 0;
      readable = found->get(number) == simdjson::SUCCESS;
      same = static_cast<std::int64_t>(value.bits) == number;
    } else if (fields[i].type == field_type::float64) {
      double number = 0;
      readable = found->get(number) == simdjson::SUCCESS;
      double ours;
      std::memcpy(&ours, &value.bits, sizeof ours);
      same = ours == number;
    } else if (fields[i].type == field_type::boolean) {
      bool yes = false;
      readable = found->get(yes) == simdjson::SUCCESS;
      same = (value.bits != 0) == yes;
    } else {
      std::string_view text;
      readable = found->get(text) == simdjson::SUCCESS;
      same = !readable || value.is_null() || text_of(value) == text;
    }
    MILLRACE_CHECK(readable == !value.is_null(), "both can read it as the type, or neither");
    MILLRACE_CHECK(!readable || same, "both read the same");
  }
}

std::vector<extractor> extractors_of(record_layout layout) {
  std::vector<extractor> made;
  for (const simd_level level : {simd_level::scalar, simd_level::avx2, simd_level::avx512}) {
    if (!has_simd(level)) continue;
    auto one = extractor::compile(layout, ',', plan_of(layout), level);
    MILLRACE_CHECK(one.ok(), "the plan is good");
    made.push_back(*std::move(one));
  }
  return made;
}

void check_record_of(record_layout layout, const std::vector<extractor>& plans, byte_view data) {
  // Exactly as long as the record, so that the sanitizer sees a byte read outside.
  const std::size_t bytes = sizeof(record_header) + 1 + data.size();
  std::vector<std::byte> padded(record_stride(1, data.size(), false));
  write_record(padded.data(), "k", data, nullptr);
  const auto record = std::make_unique<std::byte[]>(bytes);
  std::memcpy(record.get(), padded.data(), bytes);
  const record_input input{record.get(), 1, 2, 3, static_cast<std::uint32_t>(padded.size())};

  std::vector<field_value> values(plan_of(layout).size());
  extract_record(plans.front().program(), input, values.data(), 1);
  for (const extractor& plan : plans) {
    std::vector<field_value> again(values.size());
    plan.extract({&input, 1}, again.data(), 1);
    MILLRACE_CHECK(std::memcmp(again.data(), values.data(), values.size() * sizeof values[0]) == 0,
                   "every level gives the same");
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (plan_of(layout)[i].type == field_type::string && !values[i].is_null()) {
      const std::string text = text_of(values[i]);
      MILLRACE_CHECK(text.size() <= values[i].text_bytes, "decoding makes no text longer");
      MILLRACE_CHECK(is_utf8({reinterpret_cast<const std::byte*>(text.data()),
                              static_cast<std::uint32_t>(text.size())}),
                     "a text is UTF-8");
    }
  }
  if (layout != record_layout::json) return;
  static simdjson::dom::parser parser;
  simdjson::dom::element root;
  const simdjson::padded_string document(reinterpret_cast<const char*>(data.data()), data.size());
  if (parser.parse(document).get(root)) return;
  if (root.is_object() || root.is_array()) check_against_simdjson(root, values);
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace millrace;
  static constexpr record_layout layouts[] = {record_layout::json, record_layout::csv,
                                              record_layout::access_log};
  static const std::vector<extractor> plans[] = {
      extractors_of(layouts[0]), extractors_of(layouts[1]), extractors_of(layouts[2])};
  if (size == 0) return 0;
  const std::size_t which = bytes[0] == 'c' ? 1 : bytes[0] == 'l' ? 2 : 0;
  const byte_view input(reinterpret_cast<const std::byte*>(bytes), size);
  check_record_of(layouts[which], plans[which], input.subspan(1));
  return 0;
}
