#include "shards/route_slot.h"

#include <algorithm>

#include "base/check.h"

namespace millrace {

route_table::route_table(const stream_description& stream) : map(stream.open_map()) {
  created_s.reserve(map.size());
  for (std::uint32_t i = 0; i < map.size(); ++i) {
    const auto found = std::lower_bound(
        stream.shards.begin(), stream.shards.end(),
        map.shard(shard_ordinal(static_cast<std::uint16_t>(i))),
        [](const shard_info& one, shard_index wanted) { return one.shard < wanted; });
    created_s.push_back(found->created_s);
  }
}

void route_slot::begin(record_batch& batch, const route_table& table, bool keep) {
  batch_ = &batch;
  table_ = &table;
  const std::size_t records = batch.records.size();
  const std::size_t shards = table.map.size();
  batch.run.resize(records);
  batch.rank.resize(records);
  if (shard_records_.size() < shards) {
    shard_records_.resize(shards);
    shard_bytes_.resize(shards);
    places_.resize(shards);
  }
  if (order_.size() < records) order_.resize(records);
  job_ = {.records = batch.records,
          .map = &table.map,
          .shard = batch.run,  // the backend's ordinals become runs in finish()
          .rank = batch.rank,
          .shard_records = std::span(shard_records_).first(shards),
          .shard_bytes = std::span(shard_bytes_).first(shards),
          .keep = keep};
}

void route_slot::finish() {
  batch_->device = std::move(job_.kept);
  std::uint32_t base = 0;
  batch_->runs.clear();
  const std::size_t shards = table_->map.size();
  for (std::size_t i = 0; i < shards; ++i) {
    const std::uint32_t count = shard_records_[i];
    if (count == 0) continue;
    places_[i] = {.base = base, .run = static_cast<std::uint16_t>(batch_->runs.size())};
    batch_->runs.push_back(
        {.shard = table_->map.shard(shard_ordinal(static_cast<std::uint16_t>(i))),
         .created_s = table_->created_s[i],
         .first = {},
         .record_count = count});
    base += count;
  }
  const std::size_t records = batch_->records.size();
  MILLRACE_CHECK(base == records, "the backend routed every record once");
  std::uint16_t* const run = batch_->run.data();
  const std::uint32_t* const rank = batch_->rank.data();
  const record_ref* const from = batch_->records.data();
  record_ref* const order = order_.data();
  for (std::size_t i = 0; i < records; ++i) {
    const run_place place = places_[run[i]];
    order[place.base + rank[i]] = from[i];
    run[i] = place.run;
  }
}

}  // namespace millrace
