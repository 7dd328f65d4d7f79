#pragma once
/// A batch in a device's memory: what routing reads and writes there, and what folding finds.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/types.h"
#include "gpu/cuda_memory.cuh"
#include "gpu/route_kernels.cuh"

namespace millrace {

/// Where things lie in the memory of a batch, on the host (the pinned pieces it is copied from and
/// to) as on the device. Input in one piece, so that one copy brings it up; output in one piece, so
/// that one copy brings it down.
struct batch_layout {
  std::uint32_t records = 0;
  std::uint32_t shards = 0;
  std::uint64_t record_bytes = 0;

  // Input: offsets, then records. A few bytes may be read past the last record.
  std::size_t offsets_at() const { return 0; }
  std::size_t bytes_at() const { return align_up(sizeof(std::uint32_t) * records, 256); }
  std::size_t input_bytes() const { return bytes_at() + record_bytes; }
  static constexpr std::size_t slack_bytes = 64;

  // Output: bytes and counts of shards, ranks, shards of records.
  std::size_t shard_bytes_at() const { return 0; }
  std::size_t shard_records_at() const { return sizeof(std::uint64_t) * shards; }
  std::size_t rank_at() const { return shard_records_at() + sizeof(std::uint32_t) * shards; }
  std::size_t shard_at() const { return rank_at() + sizeof(std::uint32_t) * records; }
  std::size_t output_bytes() const { return shard_at() + sizeof(std::uint16_t) * records; }
};

class device_batch {
 public:
  static result<std::shared_ptr<device_batch>> create(int device, const batch_layout& largest) {
    auto made = std::make_shared<device_batch>();
    made->device_ = device;
    made->parts_.reserve(largest.shards);
    MILLRACE_ASSIGN(made->input_, allocate_device(largest.input_bytes() + batch_layout::slack_bytes,
                                                  device, "a batch on the device"));
    MILLRACE_ASSIGN(made->output_,
                    allocate_device(largest.output_bytes(), device, "routes on the device"));
    return result<std::shared_ptr<device_batch>>(std::move(made));
  }

  /// A shard that has records of the batch.
  struct shard_part {
    std::uint16_t ordinal;
    std::uint32_t records;
  };

  int device() const { return device_; }
  /// By ordinal; of a batch that is kept.
  const std::vector<shard_part>& parts() const { return parts_; }
  void set_parts(std::span<const std::uint32_t> shard_records) {
    parts_.clear();
    for (std::size_t i = 0; i < shard_records.size(); ++i) {
      if (shard_records[i] != 0)
        parts_.push_back({static_cast<std::uint16_t>(i), shard_records[i]});
    }
  }
  const batch_layout& layout() const { return layout_; }
  void set_layout(const batch_layout& layout) { layout_ = layout; }

  std::byte* input() const { return input_.data(); }
  std::byte* output() const { return output_.data(); }
  std::byte* bytes() const { return input() + layout_.bytes_at(); }
  device_records records() const {
    return {bytes(), input_.as<const std::uint32_t>(layout_.offsets_at()), layout_.records};
  }
  std::uint16_t* shard() const { return output_.as<std::uint16_t>(layout_.shard_at()); }
  std::uint32_t* rank() const { return output_.as<std::uint32_t>(layout_.rank_at()); }
  partition_output partition() const {
    return {.rank = rank(),
            .shard_records = output_.as<std::uint32_t>(layout_.shard_records_at()),
            .shard_bytes = output_.as<std::uint64_t>(layout_.shard_bytes_at())};
  }

 private:
  int device_ = 0;
  batch_layout layout_;
  std::vector<shard_part> parts_;
  device_memory input_;
  device_memory output_;
};

}  // namespace millrace
