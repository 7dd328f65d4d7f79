#pragma once
/// Puts RESULTS datagrams, which may come twice, late or out of order, back into record order.
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "base/ids.h"
#include "base/types.h"

namespace millrace {

/// Where one record went.
struct result_place {
  bool is_known = false;
  shard_index shard{};
  std::uint32_t shard_created_s = 0;
  record_index index{};
  std::uint32_t arrival_s = 0;
};

/// One thread. Keeps few datagrams that came too early; what it drops will come again.
class producer_results {
 public:
  using taker = std::function<void(std::uint64_t record, const result_place& place)>;

  explicit producer_results(taker take) : take_(std::move(take)) {}

  void start_at(std::uint64_t record) { next_ = record; }
  /// All below have been handed over.
  std::uint64_t next() const { return next_; }

  /// A verified RESULTS payload for records from `first_record` on. Hands over what is now in
  /// order. False: its sizes do not fit.
  bool add(std::uint64_t first_record, byte_view payload);
  /// Hands over the records below `record` without their places: the server does not know them.
  void give_up_below(std::uint64_t record);

 private:
  void hand_over(std::uint64_t first_record, byte_view payload);
  void hand_over_early();

  taker take_;
  std::uint64_t next_ = 0;
  std::map<std::uint64_t, std::vector<std::byte>> early_;
};

}  // namespace millrace
