#pragma once
/// Paths into JSON documents, and what all paths of a plan have in common as one tree.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace millrace {

struct json_step {
  bool is_element = false;
  std::string name;           ///< of an object's member
  std::uint32_t element = 0;  ///< of an array, from 0
  bool operator==(const json_step&) const = default;
};

/// "requests.total", "peers[0].state", "[2].x", or with names that hold dots or brackets:
/// `server_zones["hg.nginx.org"].sent`, where a backslash stands before a quote or a backslash.
/// `invalid_argument` says where it goes wrong.
result<std::vector<json_step>> parse_json_path(std::string_view path);

/// Appends the tree of `paths` to a block of extract tables: json_nodes, their edges and names.
/// fields[i] is the number of the field that has paths[i].
/// Returns where the first node is.
std::uint32_t append_json_tree(std::span<const std::vector<json_step>> paths,
                               std::span<const std::uint32_t> fields,
                               std::vector<std::byte>& tables);

}  // namespace millrace
