#include "shards/faulty_file_system.h"

#include <cerrno>
#include <unordered_map>

#include "base/check.h"

namespace millrace {
namespace {

/// True when this one is to fail.
bool take(std::atomic<std::uint64_t>& count) {
  std::uint64_t left = count.load();
  while (left != 0) {
    if (left == UINT64_MAX || count.compare_exchange_weak(left, left - 1)) return true;
  }
  return false;
}

class faulty_file : public file {
 public:
  faulty_file(std::unique_ptr<file> under, fault_plan& plan)
      : under_(std::move(under)), plan_(plan) {}

  const std::string& path() const override { return under_->path(); }
  result<std::uint64_t> size() const override { return under_->size(); }
  status read_at(std::uint64_t offset, mutable_byte_view into) const override {
    const std::uint64_t bad_to = plan_.bad_to.load();
    if (offset < bad_to && offset + into.size() > plan_.bad_from.load() &&
        path().ends_with(plan_.bad_suffix)) {
      return error::from_errno(EIO, path() + ": read of " + std::to_string(into.size()) +
                                        " bytes at " + std::to_string(offset));
    }
    return under_->read_at(offset, into);
  }
  std::uint32_t read_alignment() const override { return under_->read_alignment(); }
  std::uint64_t next_data(std::uint64_t offset) const override { return under_->next_data(offset); }
  status allocate(std::uint64_t bytes) override {
    if (take(plan_.failing_allocations)) {
      return error::from_errno(ENOSPC,
                               path() + ": allocation of " + std::to_string(bytes) + " bytes");
    }
    return under_->allocate(bytes);
  }
  status truncate(std::uint64_t bytes) override { return under_->truncate(bytes); }
  status write_durable(std::uint64_t offset, byte_view from) override {
    if (take(plan_.failing_syncs)) return error::from_errno(EIO, path() + ": fdatasync");
    return under_->write_durable(offset, from);
  }
  status sync() override {
    if (take(plan_.failing_syncs)) return error::from_errno(EIO, path() + ": fdatasync");
    return under_->sync();
  }
  file& under() { return *under_; }

 private:
  std::unique_ptr<file> under_;
  fault_plan& plan_;
};

class faulty_write_queue : public write_queue {
 public:
  faulty_write_queue(std::unique_ptr<write_queue> under, fault_plan& plan, std::uint64_t seed)
      : under_(std::move(under)), plan_(plan), random_(seed) {}

  bool submit(file& to, std::uint64_t offset, byte_view from, durability wanted,
              std::uint64_t token) override {
    auto* const target = dynamic_cast<faulty_file*>(&to);
    MILLRACE_CHECK(target != nullptr, "a write queue takes files of its own file system");
    const bool fails = !take(plan_.good_writes) && take(plan_.failing_writes);
    if (!fails) return under_->submit(target->under(), offset, from, durability(wanted), token);
    // An error says nothing of what is on the disk: all of it, a part, or nothing.
    std::uint64_t written = from.size();
    switch (random_() % 3) {
      case 0:
        written = 0;
        break;
      case 1:
        written = random_() % (from.size() / disk_block_bytes) * disk_block_bytes;
        break;
      default:
        break;
    }
    error failure = error::from_errno(EIO, to.path() + ": write of " + std::to_string(from.size()) +
                                               " bytes at " + std::to_string(offset));
    if (written == 0) {
      failed_at_once_.push_back({token, std::move(failure)});
      return true;
    }
    if (!under_->submit(target->under(), offset, from.first(written), wanted, token)) return false;
    failing_.emplace(token, std::move(failure));
    return true;
  }

  void poll(std::vector<finished_write>& out) override {
    for (finished_write& one : failed_at_once_)
      out.push_back(std::move(one));
    failed_at_once_.clear();
    const std::size_t before = out.size();
    under_->poll(out);
    for (std::size_t i = before; i < out.size(); ++i) {
      const auto failing = failing_.find(out[i].token);
      if (failing == failing_.end()) continue;
      out[i].outcome = failing->second;
      failing_.erase(failing);
    }
  }

  int poll_fd() const override { return failed_at_once_.empty() ? under_->poll_fd() : -1; }
  std::string describe() const override { return "faulty " + under_->describe(); }

 private:
  std::unique_ptr<write_queue> under_;
  fault_plan& plan_;
  std::mt19937_64 random_;
  std::vector<finished_write> failed_at_once_;
  std::unordered_map<std::uint64_t, error> failing_;
};

}  // namespace

faulty_file_system::faulty_file_system(file_system& under, fault_plan& plan, std::uint64_t seed)
    : under_(under), plan_(plan), seed_(seed) {}

result<std::unique_ptr<file>> faulty_file_system::open(const std::string& path, open_mode mode) {
  if (mode == open_mode::create && take(plan_.failing_creates)) {
    return error::from_errno(EIO, path + ": open");
  }
  if (mode != open_mode::create && take(plan_.failing_opens)) {
    return error::from_errno(EMFILE, path + ": open");
  }
  MILLRACE_ASSIGN(auto opened, under_.open(path, mode));
  return std::unique_ptr<file>(std::make_unique<faulty_file>(std::move(opened), plan_));
}

status faulty_file_system::remove(const std::string& path) {
  if (take(plan_.failing_removes)) return error::from_errno(EIO, path + ": unlink");
  return under_.remove(path);
}

std::unique_ptr<write_queue> faulty_file_system::make_write_queue(std::uint32_t in_flight_max) {
  return std::make_unique<faulty_write_queue>(under_.make_write_queue(in_flight_max), plan_,
                                              seed_++);
}

}  // namespace millrace
