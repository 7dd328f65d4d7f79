#include "shards/io_uring_write_queue.h"

#include <cerrno>
#include <cstring>

#include <liburing.h>

#include "shards/posix_file.h"

namespace millrace {
namespace {

class io_uring_write_queue : public write_queue {
 public:
  explicit io_uring_write_queue(std::uint32_t in_flight_max) : slots_(in_flight_max) {
    for (std::uint32_t i = 0; i < in_flight_max; ++i)
      free_.push_back(in_flight_max - 1 - i);
  }
  io_uring_write_queue(const io_uring_write_queue&) = delete;
  io_uring_write_queue& operator=(const io_uring_write_queue&) = delete;

  ~io_uring_write_queue() override {
    if (!ready_) return;
    // The kernel reads our buffers until the last write has ended.
    std::vector<finished_write> rest;
    while (free_.size() < slots_.size()) {
      io_uring_cqe* done = nullptr;
      if (io_uring_wait_cqe(&ring_, &done) == 0) poll(rest);
    }
    io_uring_queue_exit(&ring_);
  }

  status initialise() {
    const int outcome = io_uring_queue_init(static_cast<unsigned>(slots_.size()), &ring_, 0);
    if (outcome < 0) {
      return error(error_code::unsupported,
                   std::string("io_uring is not to be had here: ") + std::strerror(-outcome));
    }
    ready_ = true;
    return {};
  }

  bool submit(file& to, std::uint64_t offset, byte_view from, durability wanted,
              std::uint64_t token) override {
    if (free_.empty()) return false;
    const std::uint32_t slot = free_.back();
    slots_[slot] = {dynamic_cast<posix_file*>(&to), offset, from, 0, wanted, token};
    MILLRACE_CHECK(slots_[slot].to != nullptr, "a write queue takes files of its own file system");
    free_.pop_back();
    start(slot);
    return true;
  }

  void poll(std::vector<finished_write>& out) override {
    io_uring_cqe* done = nullptr;
    while (io_uring_peek_cqe(&ring_, &done) == 0) {
      const auto slot = static_cast<std::uint32_t>(io_uring_cqe_get_data64(done));
      const int outcome = done->res;
      io_uring_cqe_seen(&ring_, done);
      if (outcome == -EINTR || outcome == -EAGAIN) {
        start(slot);
      } else if (outcome <= 0) {
        finish(slot, outcome == 0 ? EIO : -outcome, out);
      } else {
        slots_[slot].done += static_cast<std::uint64_t>(outcome);
        if (slots_[slot].done < slots_[slot].from.size()) {
          start(slot);  // a short write: the next one tells why
        } else {
          finish(slot, 0, out);
        }
      }
    }
  }

  int poll_fd() const override { return ring_.ring_fd; }
  std::string describe() const override { return "io_uring"; }

 private:
  struct pending {
    posix_file* to = nullptr;
    std::uint64_t offset = 0;
    byte_view from;
    std::uint64_t done = 0;
    durability wanted = durability::durable;
    std::uint64_t token = 0;
  };

  void start(std::uint32_t slot) {
    const pending& one = slots_[slot];
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    MILLRACE_CHECK(entry != nullptr, "the ring has an entry for every slot");
    io_uring_prep_write(entry, one.to->descriptor(), one.from.data() + one.done,
                        static_cast<unsigned>(one.from.size() - one.done), one.offset + one.done);
    if (one.wanted == durability::durable) entry->rw_flags = RWF_DSYNC;
    io_uring_sqe_set_data64(entry, slot);
    int outcome;
    do {
      outcome = io_uring_submit(&ring_);
    } while (outcome == -EINTR || outcome == -EAGAIN || outcome == -EBUSY);
    MILLRACE_CHECK(outcome >= 0, "io_uring_submit");
  }

  void finish(std::uint32_t slot, int errno_value, std::vector<finished_write>& out) {
    const pending& one = slots_[slot];
    finished_write ended{one.token, {}};
    if (errno_value != 0) {
      ended.outcome = error::from_errno(errno_value, one.to->path() + ": write of " +
                                                         std::to_string(one.from.size()) +
                                                         " bytes at " + std::to_string(one.offset));
    }
    out.push_back(std::move(ended));
    free_.push_back(slot);
  }

  io_uring ring_{};
  bool ready_ = false;
  std::vector<pending> slots_;
  std::vector<std::uint32_t> free_;
};

}  // namespace

result<std::unique_ptr<write_queue>> make_io_uring_write_queue(std::uint32_t in_flight_max) {
  auto queue = std::make_unique<io_uring_write_queue>(in_flight_max);
  MILLRACE_TRY(queue->initialise());
  return std::unique_ptr<write_queue>(std::move(queue));
}

}  // namespace millrace
