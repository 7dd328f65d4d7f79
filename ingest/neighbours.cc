#include "ingest/neighbours.h"

#include <algorithm>

#include "base/endian.h"

namespace millrace {

neighbour_table::key neighbour_table::key_of(const endpoint& who) {
  // The priority bits of the tag are not part of where it leads.
  return {who.address, static_cast<std::uint16_t>(who.vlan & 0xfff), who.family};
}

std::size_t neighbour_table::key_hash::operator()(const key& of) const noexcept {
  const auto high = load<std::uint64_t>(of.address.data());
  const auto low = load<std::uint64_t>(of.address.data() + 8);
  return static_cast<std::size_t>((high ^ of.vlan) * 0x9e37'79b9'7f4a'7c15u ^ low);
}

neighbour_table::answer neighbour_table::find(const endpoint& who, std::uint64_t now_us) {
  auto found = entries_.find(key_of(who));
  if (found == entries_.end()) {
    if (entries_.size() == neighbours_max) drop_oldest();
    entries_.emplace(key_of(who), entry{.asked_us = now_us});
    return {nullptr, true};
  }
  entry& one = found->second;
  const std::uint64_t age = now_us - one.learned_us;
  const bool is_known = one.learned_us != 0 && age < neighbour_lifetime_us;
  const bool is_stale = !is_known || age >= neighbour_lifetime_us / 2;
  const bool ask = is_stale && now_us - one.asked_us >= neighbour_retry_us;
  if (ask) one.asked_us = now_us;
  return {is_known ? &one.link : nullptr, ask};
}

void neighbour_table::learn(const endpoint& from, std::uint64_t now_us) {
  const auto found = entries_.find(key_of(from));
  if (found == entries_.end()) return;
  found->second.link = from.link;
  found->second.learned_us = std::max<std::uint64_t>(now_us, 1);
}

void neighbour_table::drop_oldest() {
  const auto oldest = std::ranges::min_element(entries_, {}, [](const auto& one) {
    return std::max(one.second.learned_us, one.second.asked_us);
  });
  entries_.erase(oldest);
}

}  // namespace millrace
