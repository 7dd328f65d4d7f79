#include "ingest/producer_buffer.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/record_format.h"

namespace millrace {
namespace {

constexpr std::uint64_t page_bytes = 4096;
/// One record for this many bytes of buffer: smaller ones run out of index before bytes.
constexpr std::uint64_t bytes_per_record = 64;
constexpr std::uint64_t records_min = 1024;

/// Maps `bytes` of memory twice, the second time right behind the first.
result<std::byte*> map_ring(std::uint64_t bytes) {
  const int memory = memfd_create("millrace-producer", MFD_CLOEXEC);
  if (memory < 0) return error::from_errno(errno, "memfd_create for the send buffer");
  if (ftruncate(memory, static_cast<off_t>(bytes)) != 0) {
    const int why = errno;
    close(memory);
    return error::from_errno(why, "send buffer of " + std::to_string(bytes) + " bytes");
  }
  void* at = mmap(nullptr, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int why = at == MAP_FAILED ? errno : 0;
  for (int half = 0; half < 2 && why == 0; ++half) {
    void* want = static_cast<std::byte*>(at) + static_cast<std::uint64_t>(half) * bytes;
    if (mmap(want, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory, 0) ==
        MAP_FAILED) {
      why = errno;
    }
  }
  close(memory);
  if (why == 0) return static_cast<std::byte*>(at);
  if (at != MAP_FAILED) munmap(at, 2 * bytes);
  return error::from_errno(why, "mapping a send buffer of " + std::to_string(bytes) + " bytes");
}

error refuse_key(record_fault fault, std::uint64_t number, std::string_view key) {
  return {error_code::invalid_argument, "record " + std::to_string(number) + ": " +
                                            std::string(to_string(fault)) + " (" +
                                            std::to_string(key.size()) + " bytes)"};
}

}  // namespace

result<std::unique_ptr<producer_buffer>> producer_buffer::create(std::uint64_t bytes, waker& wake) {
  std::unique_ptr<producer_buffer> made(new producer_buffer(wake));
  const std::uint64_t rounded = align_up(std::max(bytes, page_bytes), page_bytes);
  MILLRACE_ASSIGN(made->ring_, map_ring(rounded));
  made->ring_bytes_ = rounded;
  const std::uint64_t records = std::bit_ceil(std::max(rounded / bytes_per_record, records_min));
  made->positions_.resize(records);
  made->times_.resize(records);
  made->index_mask_ = records - 1;
  return made;
}

producer_buffer::~producer_buffer() {
  if (ring_ != nullptr) munmap(ring_, 2 * ring_bytes_);
}

void producer_buffer::start_at(std::uint64_t number) {
  std::lock_guard lock(mutex_);
  positions_[number & index_mask_] = end_position_;
  freed_ = known_forgotten_ = number;
  forgotten_.store(number);
  end_.store(number);
}

/// Looks at the thread's line only when the cached figures say no.
bool producer_buffer::has_room(std::uint32_t stride) const {
  // One index entry is always kept for the position behind the last record.
  return end_position_ + stride - known_freed_position_ <= ring_bytes_ &&
         end_.load(std::memory_order_relaxed) - known_forgotten_ < index_mask_;
}

/// Once full, an eighth has to be free: waking a sender for every ack would cost more than sending.
bool producer_buffer::is_roomy() const {
  const std::uint64_t end = end_.load(std::memory_order_acquire);
  return position(end) - freed_position_.load() <= ring_bytes_ / 8 * 7 &&
         end - forgotten_.load() <= index_mask_ / 8 * 7;
}

bool producer_buffer::wait_for_room(std::unique_lock<std::mutex>& lock, std::uint32_t stride) {
  const auto look = [this] {
    known_freed_position_ = freed_position_.load(std::memory_order_seq_cst);
    known_forgotten_ = forgotten_.load(std::memory_order_seq_cst);
  };
  look();
  if (has_room(stride)) return true;
  const auto enough = [&] {
    look();
    return has_room(stride) && is_roomy();
  };
  waiting_.fetch_add(1, std::memory_order_seq_cst);
  room_.wait(lock, [&] { return refused_.load() || enough(); });
  waiting_.fetch_sub(1, std::memory_order_seq_cst);
  return !refused_.load();
}

result<record_number> producer_buffer::append(std::string_view key, byte_view data,
                                              const uint128* hash_key) {
  const record_fault fault = check_partition_key(key);
  std::unique_lock lock(mutex_);
  if (refused_.load(std::memory_order_relaxed)) return refusal_;
  if (fault != record_fault::none) return refuse_key(fault, end_.load(), key);
  if (key.size() + data.size() > limits::record_payload_bytes_max) {
    return error(error_code::invalid_argument,
                 "record " + std::to_string(end_.load()) + ": key and data of " +
                     std::to_string(key.size() + data.size()) + " bytes are over the limit of " +
                     std::to_string(limits::record_payload_bytes_max));
  }
  const std::uint32_t stride = record_stride(key.size(), data.size(), hash_key != nullptr);
  if (stride > ring_bytes_) {
    return error(error_code::invalid_argument,
                 "record " + std::to_string(end_.load()) + ": " + std::to_string(stride) +
                     " bytes are over the send buffer's " + std::to_string(ring_bytes_));
  }
  if (!has_room(stride) && !wait_for_room(lock, stride)) return refusal_;

  const std::uint64_t number = end_.load(std::memory_order_relaxed);
  write_record(ring_ + end_position_ % ring_bytes_, key, data, hash_key);
  end_position_ += stride;
  positions_[(number + 1) & index_mask_] = end_position_;
  times_[number & index_mask_] = static_cast<std::uint32_t>(monotonic_us());
  // Sequentially consistent: either the thread sees this record before it sleeps, or we see its
  // wish.
  end_.store(number + 1, std::memory_order_seq_cst);
  if (end_position_ >= wake_at_.load(std::memory_order_seq_cst)) wake_.notify();
  return record_number(number);
}

void producer_buffer::refuse(const error& why) {
  {
    std::lock_guard lock(mutex_);
    if (!refused_.load()) refusal_ = why;
    refused_.store(true);
  }
  room_.notify_all();
}

std::uint32_t producer_buffer::count_within(std::uint64_t from, std::uint64_t to,
                                            std::uint64_t bytes_max) const {
  // Positions only grow, so the largest count that fits is found by halving.
  const std::uint64_t limit = position(from) + bytes_max;
  std::uint64_t fits = from;
  std::uint64_t beyond = std::min(to, from + bytes_max / (2 * record_alignment)) + 1;
  while (fits + 1 < beyond) {
    const std::uint64_t middle = fits + (beyond - fits) / 2;
    (position(middle) <= limit ? fits : beyond) = middle;
  }
  return static_cast<std::uint32_t>(fits - from);
}

void producer_buffer::free_below(std::uint64_t number) {
  if (number <= freed_) return;
  freed_ = number;
  freed_position_.store(position(number), std::memory_order_seq_cst);
  tell_waiting();
}

void producer_buffer::forget_below(std::uint64_t number) {
  if (number <= forgotten_.load(std::memory_order_relaxed)) return;
  forgotten_.store(number, std::memory_order_seq_cst);
  tell_waiting();
}

void producer_buffer::tell_waiting() {
  if (waiting_.load(std::memory_order_seq_cst) == 0) return;
  if (!is_roomy()) return;
  // The lock makes sure that a sender between its look and its sleep is not missed.
  { std::lock_guard lock(mutex_); }
  room_.notify_all();
}

}  // namespace millrace
