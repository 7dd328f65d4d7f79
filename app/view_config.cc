#include "app/view_config.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "analytics/filter_text.h"
#include "analytics/time_text.h"
#include "app/config_text.h"
#include "app/field_text.h"
#include "app/parse.h"
#include "base/limits.h"

namespace millrace {
namespace {

constexpr std::array<std::string_view, 16> view_keys{
    "name",       "stream", "layout",   "delimiter", "fields",     "where", "time",   "delay",
    "future_max", "idle",   "group_by", "window",    "aggregates", "top",   "limits", "metrics"};

std::uint32_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

/// The entries of a table in the file's order; the library keeps them by name.
std::vector<std::pair<std::string, const toml::node*>> in_order(const toml::table& table) {
  std::vector<std::pair<std::string, const toml::node*>> out;
  for (const auto& [key, node] : table)
    out.emplace_back(key.str(), &node);
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return a.second->source().begin < b.second->source().begin;
  });
  return out;
}

/// Reads one table [[view]] into a plan. Layout before fields, and these before whatever names
/// them.
class view_reader {
 public:
  view_reader(const toml::table& table, std::string_view source)
      : table_(table), source_(source), scope_(plan_) {}

  result<view_plan> run() {
    MILLRACE_TRY(take("name", plan_.name));
    if (plan_.name.empty()) return wrong(table_, "'name' is missing");
    MILLRACE_TRY(known_keys(table_, view_keys));
    MILLRACE_TRY(take("stream", plan_.stream));
    if (plan_.stream.empty()) return wrong(table_, "'stream' is missing");
    MILLRACE_TRY(read_layout());
    MILLRACE_TRY(read_fields());
    MILLRACE_TRY(read_times());
    MILLRACE_TRY(read_window());
    MILLRACE_TRY(read_groups());
    MILLRACE_TRY(read_aggregates());
    MILLRACE_TRY(read_where());
    MILLRACE_TRY(read_top());
    MILLRACE_TRY(read_limits());
    if (const toml::node* node = table_.get("metrics")) {
      const auto value = node->value_exact<bool>();
      if (!value) return wrong(*node, "metrics takes true or false");
      plan_.as_metrics = *value;
    }
    if (auto checked = check(plan_); !checked.ok())
      return config_error(source_, line_of(table_), checked.failure().message());
    return std::move(plan_);
  }

 private:
  error wrong(const toml::node& where, std::string_view message) const {
    return config_error(source_, line_of(where),
                        plan_.name.empty() ? fmt::format("view: {}", message)
                                           : fmt::format("view '{}': {}", plan_.name, message));
  }
  /// An error of something that knows neither view nor line.
  error wrong(const toml::node& where, std::string_view what, const error& inner) const {
    return wrong(where, fmt::format("{}: {}", what, inner.message()));
  }

  status known_keys(const toml::table& table, std::span<const std::string_view> known) const {
    for (const auto& [key, node] : table) {
      if (std::find(known.begin(), known.end(), key.str()) == known.end())
        return config_error(
            source_, key.source().begin.line,
            fmt::format("view '{}': {}", plan_.name, unknown_key(key.str(), known)));
    }
    return {};
  }

  result<std::string> text_of(const toml::node& node, std::string_view key) const {
    auto value = node.value_exact<std::string>();
    if (!value) return wrong(node, fmt::format("{} takes a string", key));
    return *std::move(value);
  }

  status take(std::string_view key, std::string& into) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return {};
    MILLRACE_ASSIGN(into, text_of(*node, key));
    if (into.empty()) return wrong(*node, fmt::format("{} is empty", key));
    return {};
  }

  result<const toml::table*> table_at(std::string_view key, std::string_view example) const {
    const toml::node* node = table_.get(key);
    const toml::table* out = node == nullptr ? nullptr : node->as_table();
    if (node != nullptr && out == nullptr)
      return wrong(*node, fmt::format("{} takes a table: {}", key, example));
    return out;
  }

  status take_duration(const toml::table& table, std::string_view key, std::int64_t& into) const {
    const toml::node* node = table.get(key);
    if (node == nullptr) return {};
    MILLRACE_ASSIGN(const std::string text, text_of(*node, key));
    auto value = parse_duration(key, text);
    if (!value.ok()) return wrong(*node, value.failure().message());
    into = *value;
    return {};
  }

  status read_layout() {
    std::string text = "none";
    MILLRACE_TRY(take("layout", text));
    auto layout = parse_layout(text);
    if (!layout.ok()) return wrong(*table_.get("layout"), layout.failure().message());
    plan_.layout = *layout;
    std::string delimiter = ",";
    MILLRACE_TRY(take("delimiter", delimiter));
    const toml::node* node = table_.get("delimiter");
    if (node != nullptr && plan_.layout != record_layout::csv)
      return wrong(*node, "delimiter is for layout csv");
    if (delimiter.size() != 1) return wrong(*node, "delimiter takes one character");
    plan_.csv_delimiter = delimiter[0];
    return {};
  }

  status read_fields() {
    MILLRACE_ASSIGN(const toml::table* fields,
                    table_at("fields", "fields = { status = \"int64\" }"));
    if (fields == nullptr) return {};
    for (const auto& [name, node] : in_order(*fields)) {
      const std::string what = fmt::format("field '{}'", name);
      field_words words;
      if (const toml::table* long_form = node->as_table()) {
        MILLRACE_ASSIGN(words, read_words(*long_form));
      } else {
        MILLRACE_ASSIGN(const std::string text, text_of(*node, what));
        auto short_form = parse_field_words(text, plan_.layout);
        if (!short_form.ok()) return wrong(*node, what, short_form.failure());
        words = *std::move(short_form);
      }
      auto field = make_field(name, words, plan_.layout);
      if (!field.ok()) return wrong(*node, what, field.failure());
      plan_.fields.push_back(*std::move(field));
    }
    return {};
  }

  result<field_words> read_words(const toml::table& table) const {
    constexpr std::array<std::string_view, 9> known{"type", "path",  "column", "part",   "offset",
                                                    "as",   "bytes", "endian", "builtin"};
    MILLRACE_TRY(known_keys(table, known));
    field_words out;
    const auto text = [&](std::string_view key, std::optional<std::string>& into) -> status {
      if (const toml::node* node = table.get(key)) {
        MILLRACE_ASSIGN(into, text_of(*node, key));
      }
      return {};
    };
    const auto number = [&](std::string_view key, std::optional<std::int64_t>& into) -> status {
      if (const toml::node* node = table.get(key)) {
        into = node->value_exact<std::int64_t>();
        if (!into) return wrong(*node, fmt::format("{} takes a number", key));
      }
      return {};
    };
    MILLRACE_TRY(text("type", out.type));
    MILLRACE_TRY(text("path", out.path));
    MILLRACE_TRY(number("column", out.column));
    MILLRACE_TRY(text("part", out.part));
    MILLRACE_TRY(number("offset", out.offset));
    MILLRACE_TRY(text("as", out.as));
    MILLRACE_TRY(number("bytes", out.bytes));
    MILLRACE_TRY(text("endian", out.endian));
    MILLRACE_TRY(text("builtin", out.builtin));
    return out;
  }

  status read_times() {
    if (const toml::node* node = table_.get("time")) {
      MILLRACE_ASSIGN(const std::string name, text_of(*node, "time"));
      auto field = scope_.need(name);
      if (!field.ok()) return wrong(*node, "time", field.failure());
      plan_.time_field = *field;
    }
    MILLRACE_TRY(take_duration(table_, "delay", plan_.delay_us));
    MILLRACE_TRY(take_duration(table_, "future_max", plan_.future_max_us));
    return take_duration(table_, "idle", plan_.idle_us);
  }

  status read_window() {
    constexpr std::string_view forms =
        "{ tumbling = \"10s\" }, { hopping = \"60s\", by = \"1s\" } or { session = \"30s\" }";
    MILLRACE_ASSIGN(const toml::table* window, table_at("window", forms));
    if (window == nullptr) return wrong(table_, fmt::format("'window' is missing: {}", forms));
    constexpr std::array<std::string_view, 5> known{"tumbling", "hopping", "by", "session",
                                                    "offset"};
    MILLRACE_TRY(known_keys(*window, known));
    const bool tumbling = window->contains("tumbling");
    const bool hopping = window->contains("hopping");
    const bool session = window->contains("session");
    if (tumbling + hopping + session != 1)
      return wrong(*window, fmt::format("window is one of {}", forms));
    if (hopping != window->contains("by"))
      return wrong(*window, hopping ? "'by' is missing: how far a hopping window goes on"
                                    : "'by' is for hopping windows");
    if (session && window->contains("offset"))
      return wrong(*window, "a session has no offset: its records say where it starts");
    plan_.window.kind = tumbling  ? window_kind::tumbling
                        : hopping ? window_kind::hopping
                                  : window_kind::session;
    MILLRACE_TRY(take_duration(*window,
                               tumbling  ? "tumbling"
                               : hopping ? "hopping"
                                         : "session",
                               plan_.window.size_us));
    if (tumbling) plan_.window.hop_us = plan_.window.size_us;
    MILLRACE_TRY(take_duration(*window, "by", plan_.window.hop_us));
    return take_duration(*window, "offset", plan_.window.offset_us);
  }

  status read_groups() {
    const toml::node* node = table_.get("group_by");
    if (node == nullptr) return {};
    const toml::array* names = node->as_array();
    if (names == nullptr) return wrong(*node, "group_by takes an array of field names");
    for (const toml::node& one : *names) {
      MILLRACE_ASSIGN(const std::string name, text_of(one, "group_by"));
      auto field = scope_.need(name);
      if (!field.ok()) return wrong(one, "group_by", field.failure());
      plan_.group_by.push_back(*field);
    }
    return {};
  }

  status read_aggregates() {
    MILLRACE_ASSIGN(const toml::table* calls,
                    table_at("aggregates", "aggregates = { requests = \"count\" }"));
    if (calls == nullptr) return {};
    for (const auto& [name, node] : in_order(*calls)) {
      const std::string what = fmt::format("aggregate '{}'", name);
      MILLRACE_ASSIGN(const std::string text, text_of(*node, what));
      auto call = parse_aggregate(text, scope_);
      if (!call.ok()) return wrong(*node, what, call.failure());
      call->name = name;
      plan_.aggregates.push_back(*std::move(call));
    }
    return {};
  }

  status read_where() {
    const toml::node* node = table_.get("where");
    if (node == nullptr) return {};
    MILLRACE_ASSIGN(const std::string text, text_of(*node, "where"));
    auto filter = parse_filter(text, scope_);
    if (!filter.ok()) return wrong(*node, "where", filter.failure());
    plan_.filter = *std::move(filter);
    return {};
  }

  status read_top() {
    MILLRACE_ASSIGN(const toml::table* top, table_at("top", "{ by = \"requests\", k = 10 }"));
    if (top == nullptr) return {};
    constexpr std::array<std::string_view, 2> known{"by", "k"};
    MILLRACE_TRY(known_keys(*top, known));
    const toml::node* by = top->get("by");
    const toml::node* k = top->get("k");
    if (by == nullptr || k == nullptr)
      return wrong(*top, "top takes both: { by = \"requests\", k = 10 }");
    MILLRACE_ASSIGN(const std::string name, text_of(*by, "by"));
    const auto found = std::find_if(plan_.aggregates.begin(), plan_.aggregates.end(),
                                    [&](const aggregate_plan& one) { return one.name == name; });
    if (found == plan_.aggregates.end())
      return wrong(*by, fmt::format("top: there is no aggregate '{}'", name));
    const auto count = k->value_exact<std::int64_t>();
    if (!count || *count < 1 || *count > UINT32_MAX)
      return wrong(*k, "top: k takes a number from 1");
    plan_.top = top_plan{static_cast<std::uint16_t>(found - plan_.aggregates.begin()),
                         static_cast<std::uint32_t>(*count)};
    return {};
  }

  status read_limits() {
    MILLRACE_ASSIGN(const toml::table* table, table_at("limits", "{ groups = 1000000 }"));
    if (table == nullptr) return {};
    constexpr std::array<std::string_view, 3> known{"groups", "windows", "state"};
    MILLRACE_TRY(known_keys(*table, known));
    const auto count = [&](std::string_view key, std::uint64_t max, auto& into) -> status {
      const toml::node* node = table->get(key);
      if (node == nullptr) return {};
      const auto value = node->value_exact<std::int64_t>();
      if (!value || *value < 1 || static_cast<std::uint64_t>(*value) > max)
        return wrong(*node, fmt::format("limits: {} takes a number from 1 to {}", key, max));
      into = static_cast<std::remove_reference_t<decltype(into)>>(*value);
      return {};
    };
    MILLRACE_TRY(count("groups", INT64_MAX, plan_.groups_max));
    MILLRACE_TRY(count("windows", UINT32_MAX, plan_.windows_max));
    const toml::node* state = table->get("state");
    if (state == nullptr) return {};
    if (!state->is_string()) return count("state", INT64_MAX, plan_.state_bytes_max);
    MILLRACE_ASSIGN(const std::string text, text_of(*state, "state"));
    auto bytes = parse_bytes("state", text);
    if (!bytes.ok()) return wrong(*state, "limits", bytes.failure());
    plan_.state_bytes_max = *bytes;
    return {};
  }

  const toml::table& table_;
  const std::string_view source_;
  view_plan plan_;
  field_scope scope_;
};

}  // namespace

result<std::vector<view_plan>> load_views(std::string_view text, std::string_view source) {
  std::vector<view_plan> out;
  try {
    const toml::table table = toml::parse(text, source);
    const toml::node* node = table.get("view");
    if (node == nullptr) return out;
    const toml::array* views = node->as_array();
    if (views == nullptr || !views->is_homogeneous(toml::node_type::table))
      return config_error(source, line_of(*node), "a view is a table of its own: [[view]]");
    for (const toml::node& one : *views) {
      MILLRACE_ASSIGN(view_plan plan, view_reader(*one.as_table(), source).run());
      const bool again = std::any_of(out.begin(), out.end(),
                                     [&](const view_plan& v) { return v.name == plan.name; });
      if (again)
        return config_error(source, line_of(one),
                            fmt::format("view '{}': there is another of that name", plan.name));
      out.push_back(std::move(plan));
    }
    if (out.size() > limits::views_max)
      return config_error(
          source, line_of(*node),
          fmt::format("{} views are over the maximum {}", out.size(), limits::views_max));
  } catch (const toml::parse_error& problem) {
    return config_error(source, problem.source().begin.line, problem.description());
  }
  return out;
}

}  // namespace millrace
