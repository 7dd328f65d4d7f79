#include "gpu/json_path.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/limits.h"
#include "gpu/json_scan.h"
#include "gpu/table_block.h"

namespace millrace {
namespace {

class path_parser {
 public:
  explicit path_parser(std::string_view path) : path_(path) {}

  result<std::vector<json_step>> parse() {
    if (path_.empty()) return wrong("is empty");
    if (path_.size() > limits::json_path_bytes_max) {
      return error(error_code::invalid_argument, "JSON path of " + std::to_string(path_.size()) +
                                                     " bytes is over " +
                                                     std::to_string(limits::json_path_bytes_max));
    }
    std::vector<json_step> steps;
    while (at_ < path_.size()) {
      json_step step;
      if (path_[at_] == '[') {
        ++at_;
        MILLRACE_TRY(path_.substr(at_).starts_with('"') ? read_quoted(step) : read_element(step));
        if (at_ == path_.size() || path_[at_] != ']') return wrong("needs a ']'");
        ++at_;
      } else {
        if (!steps.empty() && path_[at_++] != '.') return wrong("needs a '.' or a '['", 1);
        const std::size_t end = std::min(path_.find_first_of(".[", at_), path_.size());
        step.name = path_.substr(at_, end - at_);
        if (step.name.empty()) return wrong("has an empty name");
        at_ = end;
      }
      steps.push_back(std::move(step));
    }
    return steps;
  }

 private:
  error wrong(std::string_view what, std::size_t back = 0) const {
    return error(error_code::invalid_argument, "JSON path '" + std::string(path_) + "' " +
                                                   std::string(what) + " at byte " +
                                                   std::to_string(at_ - back));
  }

  status read_element(json_step& step) {
    const char* const end = path_.data() + path_.size();
    const auto [stop, failure] = std::from_chars(path_.data() + at_, end, step.element);
    if (failure != std::errc()) return wrong("has no element number");
    at_ = static_cast<std::size_t>(stop - path_.data());
    step.is_element = true;
    return {};
  }

  status read_quoted(json_step& step) {
    for (++at_; at_ < path_.size(); ++at_) {
      if (path_[at_] == '"') {
        ++at_;
        return {};
      }
      if (path_[at_] == '\\' && ++at_ == path_.size()) break;
      step.name += path_[at_];
    }
    return wrong("has a quote that is not closed");
  }

  std::string_view path_;
  std::size_t at_ = 0;
};

/// The tree while it is built.
struct tree_node {
  json_node row{};
  json_step step;  ///< that leads here
  std::vector<std::uint32_t> children;
};

std::uint32_t child_of(std::vector<tree_node>& tree, std::uint32_t parent, const json_step& step) {
  for (const std::uint32_t child : tree[parent].children) {
    if (tree[child].step == step) return child;
  }
  const auto made = static_cast<std::uint32_t>(tree.size());
  tree.push_back({});
  tree[made].step = step;
  tree[made].row.parent = parent;
  tree[made].row.from_element = step.is_element ? 1 : 0;
  tree[made].row.element = step.element;
  tree[parent].children.push_back(made);
  return made;
}

std::vector<tree_node> build_tree(std::span<const std::vector<json_step>> paths,
                                  std::span<const std::uint32_t> fields) {
  std::vector<tree_node> tree(1);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const std::uint64_t field = 1ull << fields[i];
    std::uint32_t at = 0;
    for (const json_step& step : paths[i]) {
      json_node& row = tree[at].row;
      row.below |= field;
      (step.is_element ? row.below_elements : row.below_names) |= field;
      at = child_of(tree, at, step);
    }
    tree[at].row.below |= field;
    tree[at].row.own |= field;
  }
  for (tree_node& node : tree) {
    std::ranges::stable_sort(node.children, [&](std::uint32_t x, std::uint32_t y) {
      const json_step &a = tree[x].step, &b = tree[y].step;
      return a.is_element != b.is_element ? b.is_element : a.element < b.element;
    });
  }
  return tree;
}

json_edge edge_to(const tree_node& child, std::uint32_t number, std::vector<std::byte>& tables) {
  json_edge edge{};
  edge.node = number;
  if (child.step.is_element) {
    edge.name_bytes = child.step.element;
    return edge;
  }
  const std::string& name = child.step.name;
  edge.name_bytes = static_cast<std::uint32_t>(name.size());
  edge.name_at = append_rows(tables, std::as_bytes(std::span(name)));
  std::memcpy(&edge.head, name.data(), std::min<std::size_t>(name.size(), sizeof edge.head));
  return edge;
}

}  // namespace

result<std::vector<json_step>> parse_json_path(std::string_view path) {
  return path_parser(path).parse();
}

std::uint32_t append_json_tree(std::span<const std::vector<json_step>> paths,
                               std::span<const std::uint32_t> fields,
                               std::vector<std::byte>& tables) {
  std::vector<tree_node> tree = build_tree(paths, fields);
  std::vector<json_node> rows;
  for (tree_node& node : tree) {
    std::vector<json_edge> edges;
    for (const std::uint32_t child : node.children) {
      edges.push_back(edge_to(tree[child], child, tables));
      if (tree[child].step.is_element) {
        ++node.row.elements;
      } else {
        ++node.row.names;
        node.row.name_filter |= json_name_bit(edges.back().head, edges.back().name_bytes);
      }
    }
    node.row.edges_at = append_rows(tables, std::span<const json_edge>(edges));
    rows.push_back(node.row);
  }
  return append_rows(tables, std::span<const json_node>(rows));
}

}  // namespace millrace
