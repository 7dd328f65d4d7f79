#include "ingest/producer_results.h"

#include <utility>

#include "base/endian.h"
#include "ingest/wire_format.h"

namespace millrace {
namespace {

constexpr std::size_t early_datagrams_max = 256;

}  // namespace

bool producer_results::add(std::uint64_t first_record, byte_view payload) {
  const auto head = load<wire::results_payload>(payload.data());
  // Without shards there are no places either: the server no longer knows them.
  const std::uint64_t record_bytes = head.shard_count == 0 ? 0 : 4 + 2;
  const std::uint64_t expected = sizeof head + sizeof(wire::result_shard) * head.shard_count +
                                 record_bytes * head.record_count;
  if (payload.size() < expected) return false;
  if (first_record + head.record_count <= next_) return true;
  if (first_record > next_) {
    if (early_.size() < early_datagrams_max) {
      early_.try_emplace(first_record, payload.begin(), payload.end());
    }
    return true;
  }
  hand_over(first_record, payload);
  hand_over_early();
  return true;
}

void producer_results::give_up_below(std::uint64_t record) {
  while (next_ < record) {
    take_(next_++, {});
    hand_over_early();
  }
}

void producer_results::hand_over_early() {
  while (!early_.empty() && early_.begin()->first <= next_) {
    const auto one = early_.extract(early_.begin());
    hand_over(one.key(), one.mapped());
  }
}

void producer_results::hand_over(std::uint64_t first_record, byte_view payload) {
  const auto head = load<wire::results_payload>(payload.data());
  const std::byte* shards = payload.data() + sizeof head;
  const std::byte* indexes = shards + sizeof(wire::result_shard) * head.shard_count;
  const std::byte* which = indexes + sizeof(std::uint32_t) * head.record_count;
  while (next_ >= first_record && next_ < first_record + head.record_count) {
    const std::uint64_t i = next_ - first_record;
    const std::uint16_t ordinal = head.shard_count == 0
                                      ? std::uint16_t{0}
                                      : load<std::uint16_t>(which + sizeof(std::uint16_t) * i);
    result_place place;
    if (ordinal < head.shard_count) {
      const auto shard =
          load<wire::result_shard>(shards + sizeof(wire::result_shard) * std::size_t{ordinal});
      place.is_known = true;
      place.shard = shard_index(shard.shard);
      place.shard_created_s = shard.created_s;
      place.index =
          record_index(shard.base_index + load<std::uint32_t>(indexes + sizeof(std::uint32_t) * i));
      place.arrival_s = head.arrival_s;
    }
    take_(next_++, place);
  }
}

}  // namespace millrace
