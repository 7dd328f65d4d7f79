#pragma once
/// The compute backend without a GPU: multi-buffer MD5, range lookup and stable partition on the
/// calling thread. submit() does the work; poll() hands the result out.
#include <vector>

#include "gpu/backend.h"
#include "gpu/md5_lanes.h"
#include "gpu/simd_level.h"

namespace millrace {

class cpu_backend final : public backend {
 public:
  explicit cpu_backend(simd_level level);

  bool submit(route_job& job) override;
  bool poll(route_job& job) override;
  std::string describe() const override;

 private:
  void route(const route_job& job, std::size_t from, std::size_t count);

  simd_level level_;
  const route_job* done_ = nullptr;  ///< submitted, not yet polled
  // Of the records being routed: the keys to hash, and the hash keys.
  std::vector<md5_key> keys_;
  std::vector<uint128> hash_keys_;
};

}  // namespace millrace
