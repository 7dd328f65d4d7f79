#pragma once
/// The keys that servers and producers share: who may write to what, and from what the keys of
/// every session are derived.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

/// A key that server and producers share (docs/wire_format.md, "Keyed sessions").
struct shared_key {
  std::uint32_t key_id = 0;  ///< not 0
  std::array<std::uint8_t, 16> secret{};
};

struct keyring_entry {
  shared_key key;
  std::vector<std::string> streams;  ///< that its producers may write to; empty: all
};

/// Immutable while a server runs.
struct keyring {
  std::vector<keyring_entry> entries;
  bool allows_unkeyed = true;  ///< also serve producers without a key

  /// Null when there is no such key.
  const keyring_entry* find(std::uint32_t key_id) const {
    const auto found = std::ranges::find_if(
        entries, [key_id](const keyring_entry& e) { return e.key.key_id == key_id; });
    return found == entries.end() ? nullptr : &*found;
  }
  static bool permits(const keyring_entry& entry, std::string_view stream) {
    return entry.streams.empty() || std::ranges::find(entry.streams, stream) != entry.streams.end();
  }
};

}  // namespace millrace
