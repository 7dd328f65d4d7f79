#pragma once
/// Routing on one device: slots, each a batch in flight with a stream, an event and pinned memory
/// of its own.
#include <cstdint>
#include <vector>

#include "gpu/cuda_backend.h"
#include "gpu/cuda_map_cache.cuh"
#include "gpu/cuda_memory.cuh"
#include "gpu/device_batch.cuh"
#include "gpu/gather_runs.cuh"
#include "gpu/shared_pool.h"

namespace millrace {

/// What a job takes, of the host's memory and of the device's.
batch_layout layout_of(const route_job& job);

/// Pinned memory of a runs_layout, lent to whoever asked for runs.
struct gathered_runs {
  pinned_memory memory;
  shard_runs view;
};

class cuda_route_device {
 public:
  static result<cuda_route_device> create(int device, const cuda_options& options,
                                          byte_view registered);

  /// False: no slot is free.
  bool has_room();
  /// Puts the job, whose layout is within the options' bounds, into a slot and starts it. An error:
  /// it is in none; what had been started of it is left to end by itself.
  status start(route_job& job, const batch_layout& layout);
  /// True when the job is here and has ended: the outputs are filled in. False: not yet. An error:
  /// the job is here no longer, and its outputs are not filled in.
  result<bool> finish(route_job& job);
  bool holds(const route_job& job) const { return find(job) != nullptr; }
  /// After an error: whether the device answers still.
  bool is_alive() const;

  int device() const { return device_; }
  const std::string& name() const { return name_; }

 private:
  enum class slot_state : std::uint8_t {
    free,
    running,   ///< owner: the device, until `done` has come
    draining,  ///< its job went elsewhere; what was started for it has not ended
  };
  struct slot {
    slot_state state = slot_state::free;
    route_job* job = nullptr;
    std::shared_ptr<device_batch> batch;
    std::shared_ptr<gathered_runs> runs;  ///< null: not asked for, or none was free
    cuda_map_cache::entry* map = nullptr;
    cuda_stream stream;
    cuda_event done;
    pinned_memory input;   ///< of a batch_layout
    pinned_memory output;  ///< of a batch_layout
    pinned_memory map_input;
    pinned_memory sources;  ///< `loaded`: addresses of the records
    device_memory device_sources;
    device_memory scratch;
    device_memory gathered;  ///< of a runs_layout
    device_memory gather_scratch;
  };

  slot* find(const route_job& job) const;
  status enqueue(slot& one, route_job& job, const batch_layout& layout);
  status send(slot& one, const route_job& job, const batch_layout& layout);
  status partition(slot& one, const route_job& job);
  status gather(slot& one, const batch_layout& layout);
  void leave(slot& one);
  bool is_registered(const record_ref& record) const;

  int device_ = 0;
  std::string name_;
  cuda_options options_;
  byte_view registered_;             ///< empty: not `loaded`
  std::ptrdiff_t device_shift_ = 0;  ///< from a host address in it to the device's
  device_memory ascending_;
  cuda_map_cache maps_;
  shared_pool<device_batch> batches_;
  shared_pool<gathered_runs> runs_;
  mutable std::vector<slot> slots_;
};

}  // namespace millrace
