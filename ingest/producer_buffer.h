#pragma once
/// The send buffer of a producer: the bytes of every record that is not durable yet, one after
/// another in a ring, in the layout they have on the wire.
///
/// Senders append (any thread; they take turns by a mutex), the producer's thread reads and frees
/// without taking it. Positions are bytes since the start of time, so that differences are sizes.
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "base/types.h"
#include "base/waker.h"

namespace millrace {

class producer_buffer {
 public:
  /// Holds `bytes` of records (rounded up to a page) and about a record for every 64 of them;
  /// `wake` is notified when the thread asked for it.
  static result<std::unique_ptr<producer_buffer>> create(std::uint64_t bytes, waker& wake);
  ~producer_buffer();
  producer_buffer(const producer_buffer&) = delete;
  producer_buffer& operator=(const producer_buffer&) = delete;

  // --- any thread ----------------------------------------------------------------------------

  /// Waits for room, copies the record in and returns its number. Errors as producer::send().
  result<record_number> append(std::string_view key, byte_view data, const uint128* hash_key);
  /// One past the last record appended.
  std::uint64_t end() const { return end_.load(std::memory_order_seq_cst); }
  /// From now on append() answers with `why`; waiting calls return.
  void refuse(const error& why);

  // --- the producer's thread -------------------------------------------------------------------

  /// The number of the first record ever; before anyone appends.
  void start_at(std::uint64_t number);

  std::uint64_t begin() const { return freed_; }  ///< the first record whose bytes are here
  /// Where `number` starts; the end of the last one for end().
  std::uint64_t position(std::uint64_t number) const { return positions_[number & index_mask_]; }
  std::uint32_t stride(std::uint64_t number) const {
    return static_cast<std::uint32_t>(position(number + 1) - position(number));
  }
  /// The bytes between two records' starts, contiguous although the ring wraps.
  byte_view bytes(std::uint64_t from, std::uint64_t to) const {
    return {ring_ + position(from) % ring_bytes_, position(to) - position(from)};
  }
  /// When it was appended: monotonic microseconds, the low 32 bits.
  std::uint32_t time_us(std::uint64_t number) const { return times_[number & index_mask_]; }
  /// How many records from `from` on, and below `to`, together take at most `bytes_max`.
  std::uint32_t count_within(std::uint64_t from, std::uint64_t to, std::uint64_t bytes_max) const;

  /// Gives back the bytes of all records below `number`; their time_us() stays until forget().
  void free_below(std::uint64_t number);
  void forget_below(std::uint64_t number);

  /// Asks for a notification when a record that ends at or beyond `position` is appended.
  void wake_at(std::uint64_t position) { wake_at_.store(position, std::memory_order_seq_cst); }
  void no_wake() { wake_at_.store(UINT64_MAX, std::memory_order_relaxed); }

 private:
  explicit producer_buffer(waker& wake) : wake_(wake) {}
  bool has_room(std::uint32_t stride) const;
  bool is_roomy() const;
  bool wait_for_room(std::unique_lock<std::mutex>& lock, std::uint32_t stride);
  void tell_waiting();

  waker& wake_;
  std::byte* ring_ = nullptr;  ///< mapped twice in a row, so that what wraps is contiguous
  std::uint64_t ring_bytes_ = 0;
  std::vector<std::uint64_t> positions_;
  std::vector<std::uint32_t> times_;
  std::uint64_t index_mask_ = 0;

  // Senders write the first group, the thread the second.
  alignas(64) std::mutex mutex_;
  std::condition_variable room_;
  std::uint64_t end_position_ = 0;
  std::uint64_t known_freed_position_ = 0;  ///< cached, so that the thread's line stays with it
  std::uint64_t known_forgotten_ = 0;
  error refusal_{error_code::unavailable, ""};
  alignas(64) std::atomic<std::uint64_t> end_{0};
  std::atomic<std::uint32_t> waiting_{0};
  std::atomic<bool> refused_{false};
  alignas(64) std::atomic<std::uint64_t> freed_position_{0};
  std::atomic<std::uint64_t> forgotten_{0};
  std::atomic<std::uint64_t> wake_at_{UINT64_MAX};
  std::uint64_t freed_ = 0;
};

}  // namespace millrace
