#pragma once
/// Room for request bodies in the arena: contiguous runs of pages, first fit, shared by the threads
/// of the gate. A body's room is reserved before it is read.
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "base/error.h"
#include "base/types.h"

namespace millrace {

class body_pool {
 public:
  static constexpr std::uint32_t page_bytes = 16 * 1024;

  /// Carves `bytes`, a multiple of page_bytes, from the arena. Start-up.
  static result<std::unique_ptr<body_pool>> create(arena& from, std::uint64_t bytes);

  /// A run of pages that holds `bytes`; empty when there is none now. Thread-safe.
  mutable_byte_view reserve(std::uint64_t bytes);
  /// Gives back what reserve() returned. Thread-safe.
  void release(mutable_byte_view room);

  std::uint64_t bytes() const { return region_.size(); }
  std::uint64_t free_bytes() const;

 private:
  explicit body_pool(mutable_byte_view region);

  const mutable_byte_view region_;
  mutable std::mutex mutex_;
  std::vector<bool> used_;  // by page
  std::size_t free_pages_ = 0;
  std::size_t lowest_free_ = 0;  // no page before it is free
};

/// Owns the room of one body.
class body_room {
 public:
  body_room() = default;
  body_room(body_pool& pool, mutable_byte_view room) : pool_(&pool), room_(room) {}
  body_room(body_room&& other) noexcept
      : pool_(other.pool_), room_(std::exchange(other.room_, {})) {}
  body_room& operator=(body_room&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(room_, other.room_);
    return *this;
  }
  ~body_room() { reset(); }

  void reset() {
    if (!room_.empty()) pool_->release(std::exchange(room_, {}));
  }
  bool empty() const { return room_.empty(); }
  mutable_byte_view bytes() const { return room_; }

 private:
  body_pool* pool_ = nullptr;
  mutable_byte_view room_;
};

}  // namespace millrace
