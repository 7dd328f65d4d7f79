#pragma once
/// Link addresses of the hosts that we write to first. Whoever wrote to us is answered at the
/// address it came from and needs no entry. Learns only what it asked for. One thread.
#include <array>
#include <cstdint>
#include <unordered_map>

#include "ingest/net_frames.h"

namespace millrace {

inline constexpr std::uint32_t neighbours_max = 1024;
/// A host that did not answer is asked again after this.
inline constexpr std::uint64_t neighbour_retry_us = 100'000;
/// A link address is used this long, and asked for again meanwhile after half of it.
inline constexpr std::uint64_t neighbour_lifetime_us = 60'000'000;

class neighbour_table {
 public:
  struct answer {
    const link_address* link = nullptr;  ///< null: not known (yet); good until the next call
    bool ask = false;                    ///< a request should go out now
  };
  /// Where `who` (its address, family and VLAN) is, and whether to ask.
  answer find(const endpoint& who, std::uint64_t now_us);
  /// An answer arrived: `from` with its link address.
  void learn(const endpoint& from, std::uint64_t now_us);
  std::size_t size() const { return entries_.size(); }

 private:
  struct key {
    std::array<std::uint8_t, 16> address{};
    std::uint16_t vlan = 0;
    std::uint8_t family = 0;
    friend bool operator==(const key&, const key&) = default;
  };
  struct key_hash {
    std::size_t operator()(const key& of) const noexcept;
  };
  struct entry {
    link_address link{};
    std::uint64_t learned_us = 0;  ///< 0: never
    std::uint64_t asked_us = 0;
  };
  static key key_of(const endpoint& who);
  void drop_oldest();

  std::unordered_map<key, entry, key_hash> entries_;
};

}  // namespace millrace
