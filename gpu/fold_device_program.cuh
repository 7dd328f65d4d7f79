#pragma once
/// A view's fold_program in a device's memory, passed to kernels by value.
#include <cstdint>

#include "gpu/aggregate.h"
#include "gpu/cuda_memory.cuh"
#include "gpu/fold_program.h"
#include "gpu/group_key.h"

namespace millrace {

struct device_program {
  const std::byte* filter;  ///< filter.h's block; null: all records are taken
  const key_field* key;
  const state_part* parts;
  const std::uint64_t* empty;    ///< state of a group without records
  const std::uint16_t* columns;  ///< of all its fields
  hash_secret secret;
  std::uint16_t key_fields;
  std::uint16_t part_count;
  std::uint16_t column_count;
  bool has_sketches;
  bool has_places;           ///< first, last
  std::int32_t time_column;  ///< -1: arrival time
  std::uint32_t state_words;
  std::int64_t size_us;
  std::int64_t hop_us;
  std::int64_t offset_us;
  std::int64_t delay_us;
  std::int64_t future_max_us;
};

/// Owns the memory that a device_program points to.
class fold_tables {
 public:
  /// On the current device, which is `device`. Waits for the copy.
  static result<fold_tables> send(const fold_program& program, int device, cudaStream_t stream);
  const device_program& program() const { return program_; }

 private:
  device_program program_{};
  device_memory memory_;
};

}  // namespace millrace
