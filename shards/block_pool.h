#pragma once
/// Memory for blocks: aligned, reused, counted references, so that a block is written, kept in the
/// hot tail and read by many threads without being copied.
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "shards/aligned_buffer.h"

namespace millrace {

class block_pool;

/// One block's memory. The appender's thread fills it in; once it is in the hot tail it never
/// changes again.
class block_buffer {
 public:
  explicit block_buffer(std::uint64_t capacity)
      : memory_(allocate_aligned(capacity)), capacity_(capacity) {}
  std::byte* data() const { return memory_.get(); }
  std::uint64_t capacity() const { return capacity_; }

 private:
  friend class block_ref;
  friend class block_pool;
  aligned_memory memory_;
  std::uint64_t capacity_;
  std::atomic<std::uint32_t> references_{0};
  std::shared_ptr<block_pool> home_;  ///< set while handed out: the pool outlives its buffers
};

/// A counted reference; the last one gives the memory back to its pool. Any thread.
class block_ref {
 public:
  block_ref() = default;
  explicit block_ref(block_buffer* one) : one_(one) { acquire(); }
  block_ref(const block_ref& other) : one_(other.one_) { acquire(); }
  block_ref(block_ref&& other) noexcept : one_(std::exchange(other.one_, nullptr)) {}
  block_ref& operator=(block_ref other) noexcept {
    std::swap(one_, other.one_);
    return *this;
  }
  ~block_ref() { release(); }

  explicit operator bool() const { return one_ != nullptr; }
  block_buffer* operator->() const { return one_; }

 private:
  void acquire() const {
    if (one_ != nullptr) one_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  void release();
  block_buffer* one_ = nullptr;
};

/// Thread-safe. Sizes come in steps of a quarter of a power of two, so that buffers fit again; at
/// most `idle_bytes_max` are kept for reuse.
class block_pool : public std::enable_shared_from_this<block_pool> {
 public:
  explicit block_pool(std::uint64_t idle_bytes_max) : idle_bytes_max_(idle_bytes_max) {}

  /// A buffer of at least `bytes`; its content is whatever it was.
  block_ref take(std::uint64_t bytes);
  /// Frees what is idle.
  void shrink();
  std::uint64_t idle_bytes() const;

 private:
  friend class block_ref;
  void give_back(block_buffer* one);

  const std::uint64_t idle_bytes_max_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<block_buffer>> idle_;  ///< the last one given back is last
  std::uint64_t idle_bytes_ = 0;
};

}  // namespace millrace
