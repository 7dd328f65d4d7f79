#include "analytics/progress_codec.h"

#include "base/endian.h"

namespace millrace {
namespace {

constexpr std::uint32_t progress_version = 1;

// Numbers alone and no padding, so that they can be kept as they lie. Do not change.
static_assert(sizeof(clock_decision) == 32 && sizeof(view_clock::shard_state) == 40);
static_assert(sizeof(fold_counts) == 56);

/// Everything of a progress but its shards.
struct progress_head {
  std::uint32_t version;
  std::uint32_t shard_count;
  log_position at;
  std::int64_t watermark_us;
  std::int64_t newest_us;
  std::uint64_t arrival_us;
  fold_counts counts;
  std::uint64_t missing;
  std::uint64_t next_ordinal;
  std::uint64_t closed_rows;
  std::uint64_t late_ordinal;
  std::int64_t closed_to_us;
};
static_assert(sizeof(progress_head) == 144);

template <class Item>
std::vector<std::byte> bytes_of(std::span<const Item> items) {
  const auto bytes = std::as_bytes(items);
  return {bytes.begin(), bytes.end()};
}

template <class Item>
std::vector<Item> items_of(byte_view bytes) {
  std::vector<Item> items(bytes.size() / sizeof(Item));
  for (std::size_t i = 0; i < items.size(); ++i)
    items[i] = load<Item>(bytes.data() + i * sizeof(Item));
  return items;
}

error damaged(const char* what) {
  return {error_code::corrupt, std::string("stored ") + what + " is damaged"};
}

}  // namespace

std::vector<std::byte> encode_progress(const view_progress& progress) {
  const view_clock::state& clock = progress.clock;
  const progress_head head{progress_version,
                           static_cast<std::uint32_t>(clock.shards.size()),
                           progress.at,
                           clock.watermark_us,
                           clock.newest_us,
                           clock.arrival_us,
                           progress.counts,
                           progress.missing,
                           progress.next_ordinal,
                           progress.closed_rows,
                           progress.late_ordinal,
                           progress.closed_to_us};
  std::vector<std::byte> out = bytes_of<progress_head>({&head, 1});
  const auto shards = bytes_of<view_clock::shard_state>(clock.shards);
  out.insert(out.end(), shards.begin(), shards.end());
  return out;
}

result<view_progress> decode_progress(byte_view bytes) {
  if (bytes.size() < sizeof(progress_head)) return damaged("checkpoint");
  const auto head = load<progress_head>(bytes.data());
  if (head.version != progress_version) {
    return error(error_code::unsupported, "stored checkpoint has version " +
                                              std::to_string(head.version) + ", not " +
                                              std::to_string(progress_version));
  }
  bytes = bytes.subspan(sizeof head);
  if (bytes.size() != std::uint64_t{head.shard_count} * sizeof(view_clock::shard_state)) {
    return damaged("checkpoint");
  }
  view_progress progress;
  progress.at = head.at;
  progress.clock = {head.watermark_us, head.newest_us, head.arrival_us,
                    items_of<view_clock::shard_state>(bytes)};
  for (const view_clock::shard_state& shard : progress.clock.shards) {
    if (shard.now > view_clock::phase::closed) return damaged("checkpoint");
  }
  progress.counts = head.counts;
  progress.missing = head.missing;
  progress.next_ordinal = head.next_ordinal;
  progress.closed_rows = head.closed_rows;
  progress.late_ordinal = head.late_ordinal;
  progress.closed_to_us = head.closed_to_us;
  return progress;
}

std::vector<std::byte> encode_decisions(std::span<const clock_decision> decisions) {
  return bytes_of(decisions);
}

result<std::vector<clock_decision>> decode_decisions(byte_view bytes) {
  if (bytes.size() % sizeof(clock_decision) != 0) return damaged("journal");
  auto decisions = items_of<clock_decision>(bytes);
  for (const clock_decision& one : decisions) {
    if (one.what > clock_decision::kind::wall) return damaged("journal");
  }
  return decisions;
}

}  // namespace millrace
