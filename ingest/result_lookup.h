#pragma once
/// Where records of an earlier session went, for a producer that never heard: asked of the log by a
/// door, answered later, because it may read the disk.
#include <vector>

#include "base/ids.h"
#include "base/types.h"

namespace millrace {

/// One record's place: what its sequence number is made of.
struct record_place {
  record_index index{};
  shard_index shard{};
  std::uint32_t created_s = 0;  ///< of the shard
  std::uint32_t arrival_s = 0;  ///< of the record
};

struct result_query;

/// Where answers go. Thread-safe, does not block.
class result_home {
 public:
  virtual void answered(result_query& query) = 0;

 protected:
  ~result_home() = default;
};

/// A question, owned by its door. From ask() until answered() it is the lookup's.
struct result_query {
  stream_id stream{};
  producer_id producer{};
  record_number first{};
  std::uint32_t count = 0;
  /// The answer: `count` places in record order, or none when the log no longer knows.
  std::vector<record_place> places;
  bool failed = false;  ///< nothing could be looked up now, which says nothing: ask again
  // The door's own, to find the session again.
  std::uint32_t slot = 0;
  session_id session{};
  result_home* home = nullptr;
};

/// Implemented over the logs, by a thread that may wait for the disk.
class result_lookup {
 public:
  virtual ~result_lookup() = default;
  /// False: too many questions are open; ask again later. Thread-safe, does not block. The answer
  /// comes by query.home->answered().
  [[nodiscard]] virtual bool ask(result_query& query) = 0;
};

}  // namespace millrace
