#include "app/config.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "app/config_text.h"
#include "app/view_config.h"

namespace millrace {
namespace {

constexpr std::string_view views_key = "view";

std::string_view wanted_of(setting_kind kind) {
  switch (kind) {
    case setting_kind::text:
      return "a string";
    case setting_kind::number:
      return "a number";
    case setting_kind::bytes:
      return "a number of bytes, or a string such as \"64MiB\"";
    case setting_kind::toggle:
      return "true or false";
    case setting_kind::list:
      return "an array of strings";
  }
  return "";
}

/// A scalar as the text that assign() takes; nothing when it has the wrong type for `kind`.
std::optional<std::string> scalar_text(const toml::node& node, setting_kind kind) {
  switch (kind) {
    case setting_kind::text:
    case setting_kind::list:
      return node.value_exact<std::string>();
    case setting_kind::toggle:
      if (auto value = node.value_exact<bool>()) return *value ? "true" : "false";
      return std::nullopt;
    case setting_kind::bytes:
      if (auto value = node.value_exact<std::string>()) return value;
      [[fallthrough]];
    case setting_kind::number:
      if (auto value = node.value_exact<std::int64_t>()) return std::to_string(*value);
      return std::nullopt;
  }
  return std::nullopt;
}

status apply(const serve_setting& setting, const toml::node& node, std::string_view source,
             serve_options& options) {
  const auto assign_one = [&](const toml::node& one) -> status {
    const auto text = scalar_text(one, setting.kind);
    if (!text)
      return config_error(source, one.source().begin.line,
                          fmt::format("{} takes {}", setting.name, wanted_of(setting.kind)));
    if (auto set = assign(options, setting, *text); !set.ok())
      return config_error(source, one.source().begin.line, set.failure().message());
    return {};
  };
  if (setting.kind != setting_kind::list) return assign_one(node);

  const toml::array* items = node.as_array();
  if (items == nullptr)
    return config_error(source, node.source().begin.line,
                        fmt::format("{} takes {}", setting.name, wanted_of(setting.kind)));
  clear_list(options, setting);
  for (const toml::node& item : *items)
    MILLRACE_TRY(assign_one(item));
  return {};
}

}  // namespace

status load_config(std::string_view text, std::string_view source, serve_options& options) {
  try {
    const toml::table table = toml::parse(text, source);
    for (const auto& [key, node] : table) {
      if (key.str() == views_key) continue;
      const auto known = serve_settings();
      const auto setting = std::find_if(known.begin(), known.end(),
                                        [name = key.str()](auto& one) { return one.name == name; });
      if (setting == known.end()) {
        std::vector<std::string_view> names{views_key};
        for (const serve_setting& one : known)
          names.push_back(one.name);
        return config_error(source, key.source().begin.line, unknown_key(key.str(), names));
      }
      MILLRACE_TRY(apply(*setting, node, source, options));
    }
  } catch (const toml::parse_error& problem) {
    return config_error(source, problem.source().begin.line, problem.description());
  }
  MILLRACE_ASSIGN(options.views, load_views(text, source));
  return {};
}

status load_config_file(const std::string& path, serve_options& options) {
  std::ifstream file(path);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file) return error::from_errno(errno, "configuration file '" + path + "'");
  return load_config(text.str(), path, options);
}

status load_environment(serve_options& options) {
  for (const serve_setting& setting : serve_settings()) {
    const std::string name = environment_name_of(setting);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) continue;
    if (setting.kind != setting_kind::list) {
      if (auto set = assign(options, setting, value); !set.ok())
        return std::move(set).failure().with_context("environment variable " + name);
      continue;
    }
    // Items of a list may hold commas and spaces inside, so they are put apart by semicolons.
    clear_list(options, setting);
    std::string_view rest = value;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(';'), rest.size());
      if (end > 0) MILLRACE_TRY(assign(options, setting, rest.substr(0, end)));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return {};
}

}  // namespace millrace
