#pragma once
/// Records with room for their routes, and the routes that a naive oracle gives them.
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/backend.h"
#include "gpu/md5.h"

namespace millrace {

struct route_workload {
  std::vector<std::byte> bytes;
  std::vector<record_ref> records;
  std::vector<std::uint16_t> shard;
  std::vector<std::uint32_t> rank;
  std::vector<std::uint32_t> shard_records;
  std::vector<std::uint64_t> shard_bytes;

  /// `key(i)` is record i's partition key; every `explicit_every`-th one has a hash key of its own.
  /// Each record lies `shift` bytes behind a multiple of 8.
  template <class Key>
  static route_workload make(std::size_t count, Key key, std::size_t explicit_every = 0,
                             std::size_t shift = 0) {
    route_workload load;
    std::mt19937_64 random(count);
    std::vector<std::size_t> offsets;
    std::size_t at = shift;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string text = key(i);
      const std::vector<std::byte> data(random() % 60, std::byte{0x5a});
      const uint128 hash_key = make_uint128(random(), random());
      const bool has_hash_key = explicit_every != 0 && i % explicit_every == 0;
      offsets.push_back(at);
      load.bytes.resize(at + record_stride(text.size(), data.size(), has_hash_key));
      at += write_record(&load.bytes[at], text, data, has_hash_key ? &hash_key : nullptr);
    }
    // Nothing lies behind the last record, so that reading there shows.
    for (const std::size_t offset : offsets) {
      const record_view view(&load.bytes[offset]);
      load.records.push_back(
          {.bytes = view.bytes(),
           .stride = view.stride(),
           .key_bytes = static_cast<std::uint16_t>(view.key().size()),
           .flags = static_cast<std::uint8_t>(view.has_hash_key() ? record_has_hash_key : 0)});
    }
    return load;
  }

  route_job job(const shard_map& map) {
    shard.assign(records.size(), 0xffff);
    rank.assign(records.size(), ~0u);
    shard_records.assign(map.size(), ~0u);
    shard_bytes.assign(map.size(), ~0ull);
    return {.records = records,
            .map = &map,
            .shard = shard,
            .rank = rank,
            .shard_records = shard_records,
            .shard_bytes = shard_bytes};
  }

  /// The outputs are what the oracle says.
  void expect_routed(const shard_map& map) const {
    std::vector<std::uint32_t> records_of(map.size());
    std::vector<std::uint64_t> bytes_of(map.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
      const record_view view = records[i].view();
      const uint128 hash_key = view.has_hash_key()
                                   ? view.hash_key()
                                   : md5(reinterpret_cast<const std::byte*>(view.key().data()),
                                         static_cast<std::uint32_t>(view.key().size()));
      std::uint32_t wanted = map.size() - 1;
      if (map.size() < 300) {
        while (map.starts()[wanted] > hash_key)
          --wanted;
      } else {
        wanted = map.find(hash_key).value;
      }
      ASSERT_EQ(shard[i], wanted) << "record " << i;
      ASSERT_EQ(rank[i], records_of[wanted]) << "record " << i;
      ++records_of[wanted];
      bytes_of[wanted] += records[i].stride;
    }
    EXPECT_EQ(shard_records, records_of);
    EXPECT_EQ(shard_bytes, bytes_of);
  }
};

inline std::string user_key(std::size_t i) {
  return "user-" + std::to_string(i * 7919 % 100'003);
}

}  // namespace millrace
