#pragma once
/// Large records that come in several FRAGMENT datagrams: one buffer each, carved from the arena,
/// few at a time at one door.
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "base/error.h"
#include "ingest/batch_filler.h"

namespace millrace {

/// One record being put together.
class reassembly {
 public:
  explicit reassembly(slab* buffer) : buffer_(buffer) {}

  enum class piece : std::uint8_t {
    taken,      ///< copied
    duplicate,  ///< all of it was there
    no_room,    ///< too many holes: not noted, and wanted again
  };

  void begin(std::uint64_t record, std::uint32_t record_bytes, std::uint64_t now_us);
  /// Copies a fragment; `offset` + its size is within the record. `offset` is a multiple of 8, and
  /// so is the size of every fragment but the last, so that holes stay whole words.
  piece add(std::uint32_t offset, byte_view bytes, std::uint64_t now_us);

  bool is_complete() const {
    return have_.size() == 1 && have_[0] == std::pair(std::uint32_t{0}, record_bytes_);
  }
  std::uint64_t record() const { return record_; }
  std::uint32_t record_bytes() const { return record_bytes_; }
  std::uint64_t progress_us() const { return progress_us_; }
  std::byte* data() const { return buffer_->data; }
  slab* buffer() const { return buffer_; }

  /// Holes of one record: far more than reordering makes, and little enough to search.
  static constexpr std::size_t pieces_max = 4096;

 private:
  slab* buffer_;
  std::uint64_t record_ = 0;
  std::uint64_t progress_us_ = 0;
  std::uint32_t record_bytes_ = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> have_;  ///< [from, to), disjoint, ascending
};

/// A door's reassembly buffers. One thread.
class reassembly_pool final : public buffer_owner {
 public:
  static result<std::unique_ptr<reassembly_pool>> create(arena& from, std::uint32_t count);

  /// Null when all buffers are in use.
  reassembly* acquire();
  /// Gives it back without its record having gone into a batch.
  void discard(reassembly* one) { release(index_of(one)); }
  /// What a batch that holds the record gives back by release().
  std::uint64_t index_of(const reassembly* one) const {
    return static_cast<std::uint64_t>(one - all_.data());
  }
  void release(std::uint64_t index) override;
  std::uint32_t in_use() const { return static_cast<std::uint32_t>(all_.size() - free_.size()); }

 private:
  explicit reassembly_pool(slab_pool slabs) : slabs_(std::move(slabs)) {}
  slab_pool slabs_;
  std::vector<reassembly> all_;
  std::vector<reassembly*> free_;
};

}  // namespace millrace
