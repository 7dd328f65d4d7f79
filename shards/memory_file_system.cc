#include "shards/memory_file_system.h"

#include <algorithm>
#include <cerrno>
#include <deque>

#include "base/check.h"

namespace millrace {
namespace {

constexpr std::uint64_t sector_bytes = 512;

/// A write that power loss may still take, whole or in part.
struct loose_write {
  std::uint64_t offset;
  std::vector<std::byte> bytes;
};

struct node {
  std::vector<std::byte> durable;
  std::vector<std::byte> current;  ///< what reads see
  std::vector<loose_write> loose;

  void resize(std::uint64_t bytes) {
    durable.resize(bytes);
    current.resize(bytes);
  }
  void write(std::uint64_t offset, byte_view bytes) {
    if (current.size() < offset + bytes.size()) resize(offset + bytes.size());
    std::copy(bytes.begin(), bytes.end(), current.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void write_durable(std::uint64_t offset, byte_view bytes) {
    write(offset, bytes);
    std::copy(bytes.begin(), bytes.end(), durable.begin() + static_cast<std::ptrdiff_t>(offset));
  }
};

std::string parent_of(const std::string& path) {
  return path.substr(0, path.find_last_of('/'));
}

}  // namespace

struct memory_file_system::disk {
  mutable std::mutex mutex;
  std::uint64_t capacity = UINT64_MAX;
  std::uint64_t allowed_writes = UINT64_MAX;
  std::map<std::string, std::shared_ptr<node>> files;
  std::map<std::string, int> directories;

  std::uint64_t used() const {
    std::uint64_t sum = 0;
    for (const auto& [path, one] : files)
      sum += one->current.size();
    return sum;
  }
  std::uint64_t room() const { return capacity - std::min(capacity, used()); }
};

class memory_file : public file {
 public:
  memory_file(std::string path, std::shared_ptr<memory_file_system::disk> disk,
              std::shared_ptr<node> one)
      : path_(std::move(path)), disk_(std::move(disk)), node_(std::move(one)) {}

  const std::string& path() const override { return path_; }
  result<std::uint64_t> size() const override {
    std::lock_guard lock(disk_->mutex);
    return std::uint64_t{node_->current.size()};
  }

  status read_at(std::uint64_t offset, mutable_byte_view into) const override {
    std::lock_guard lock(disk_->mutex);
    if (offset > node_->current.size() || into.size() > node_->current.size() - offset) {
      return error(error_code::corrupt, path_ + ": read of " + std::to_string(into.size()) +
                                            " bytes at " + std::to_string(offset) +
                                            ": the file ends before");
    }
    const auto from = node_->current.begin() + static_cast<std::ptrdiff_t>(offset);
    std::copy(from, from + static_cast<std::ptrdiff_t>(into.size()), into.begin());
    return {};
  }
  std::uint32_t read_alignment() const override { return 1; }
  std::uint64_t next_data(std::uint64_t offset) const override {
    std::lock_guard lock(disk_->mutex);
    const auto& bytes = node_->current;
    if (offset >= bytes.size()) return bytes.size();
    const auto found = std::find_if(bytes.begin() + static_cast<std::ptrdiff_t>(offset),
                                    bytes.end(), [](std::byte b) { return b != std::byte{0}; });
    return static_cast<std::uint64_t>(found - bytes.begin());
  }

  status allocate(std::uint64_t bytes) override {
    std::lock_guard lock(disk_->mutex);
    if (bytes <= node_->current.size()) return {};
    if (bytes - node_->current.size() > disk_->room()) {
      return error::from_errno(ENOSPC,
                               path_ + ": allocation of " + std::to_string(bytes) + " bytes");
    }
    node_->resize(bytes);
    return {};
  }
  status truncate(std::uint64_t bytes) override {
    std::lock_guard lock(disk_->mutex);
    node_->resize(bytes);
    std::erase_if(node_->loose, [&](loose_write& one) {
      if (one.offset < bytes) one.bytes.resize(std::min(one.bytes.size(), bytes - one.offset));
      return one.offset >= bytes;
    });
    return {};
  }
  status write_durable(std::uint64_t offset, byte_view from) override {
    std::lock_guard lock(disk_->mutex);
    const std::uint64_t end = offset + from.size();
    if (end > node_->current.size() && end - node_->current.size() > disk_->room()) {
      return error::from_errno(ENOSPC,
                               path_ + ": write of " + std::to_string(from.size()) + " bytes");
    }
    node_->write_durable(offset, from);
    node_->durable = node_->current;
    node_->loose.clear();
    return {};
  }
  status sync() override {
    std::lock_guard lock(disk_->mutex);
    node_->durable = node_->current;
    node_->loose.clear();
    return {};
  }

  const std::shared_ptr<node>& content() const { return node_; }

 private:
  std::string path_;
  std::shared_ptr<memory_file_system::disk> disk_;
  std::shared_ptr<node> node_;
};

/// Writes end in poll(), the oldest first, as many as the disk allows. One that is queued may be on
/// the disk in part when power fails.
class memory_write_queue : public write_queue {
 public:
  memory_write_queue(std::shared_ptr<memory_file_system::disk> disk, std::uint32_t in_flight_max)
      : disk_(std::move(disk)), in_flight_max_(in_flight_max) {}

  bool submit(file& to, std::uint64_t offset, byte_view from, durability wanted,
              std::uint64_t token) override {
    std::lock_guard lock(disk_->mutex);
    if (queued_.size() >= in_flight_max_) return false;
    auto* const target = dynamic_cast<memory_file*>(&to);
    MILLRACE_CHECK(target != nullptr, "a write queue takes files of its own file system");
    MILLRACE_CHECK(((offset | from.size()) & (disk_block_bytes - 1)) == 0, "unaligned write");
    const std::shared_ptr<node>& one = target->content();
    status outcome;
    const std::uint64_t end = offset + from.size();
    if (end > one->current.size() && end - one->current.size() > disk_->room()) {
      outcome = error::from_errno(ENOSPC, target->path() + ": write");
    } else {
      one->write(offset, from);
      one->loose.push_back({offset, {from.begin(), from.end()}});
    }
    queued_.push_back({token, one, offset, from, wanted, std::move(outcome)});
    return true;
  }

  void poll(std::vector<finished_write>& out) override {
    std::lock_guard lock(disk_->mutex);
    while (!queued_.empty() && disk_->allowed_writes != 0) {
      if (disk_->allowed_writes != UINT64_MAX) --disk_->allowed_writes;
      queued& one = queued_.front();
      if (one.outcome.ok() && one.wanted == durability::durable) {
        one.target->write_durable(one.offset, one.bytes);
        std::erase_if(one.target->loose, [&](const loose_write& loose) {
          return loose.offset == one.offset && loose.bytes.size() == one.bytes.size();
        });
      }
      out.push_back({one.token, std::move(one.outcome)});
      queued_.pop_front();
    }
  }

  int poll_fd() const override { return -1; }
  std::string describe() const override { return "memory"; }

 private:
  struct queued {
    std::uint64_t token;
    std::shared_ptr<node> target;
    std::uint64_t offset;
    byte_view bytes;
    durability wanted;
    status outcome;
  };

  std::shared_ptr<memory_file_system::disk> disk_;
  const std::uint32_t in_flight_max_;
  std::deque<queued> queued_;
};

memory_file_system::memory_file_system(std::uint64_t capacity) : disk_(std::make_shared<disk>()) {
  disk_->capacity = capacity;
}
memory_file_system::~memory_file_system() = default;

result<std::unique_ptr<file>> memory_file_system::open(const std::string& path, open_mode mode) {
  std::lock_guard lock(disk_->mutex);
  const auto found = disk_->files.find(path);
  if (mode == open_mode::create) {
    if (found != disk_->files.end()) {
      return error(error_code::already_exists, path + ": file exists");
    }
    if (!disk_->directories.contains(parent_of(path))) {
      return error(error_code::not_found, path + ": no such directory");
    }
    auto one = std::make_shared<node>();
    disk_->files[path] = one;
    return std::unique_ptr<file>(std::make_unique<memory_file>(path, disk_, std::move(one)));
  }
  if (found == disk_->files.end()) return error(error_code::not_found, path + ": no such file");
  return std::unique_ptr<file>(std::make_unique<memory_file>(path, disk_, found->second));
}

result<std::vector<std::string>> memory_file_system::list(const std::string& directory) {
  std::lock_guard lock(disk_->mutex);
  if (!disk_->directories.contains(directory)) {
    return error(error_code::not_found, directory + ": no such directory");
  }
  std::vector<std::string> names;
  for (const auto& [path, one] : disk_->files) {
    if (parent_of(path) == directory) names.push_back(path.substr(directory.size() + 1));
  }
  return names;
}

status memory_file_system::create_directory(const std::string& path) {
  std::lock_guard lock(disk_->mutex);
  disk_->directories[path] = 1;
  return {};
}

status memory_file_system::remove(const std::string& path) {
  std::lock_guard lock(disk_->mutex);
  if (disk_->files.erase(path) == 0) return error(error_code::not_found, path + ": no such file");
  return {};
}

status memory_file_system::remove_directory(const std::string& path) {
  std::lock_guard lock(disk_->mutex);
  std::erase_if(disk_->files, [&](const auto& one) { return one.first.starts_with(path + "/"); });
  disk_->directories.erase(path);
  return {};
}

result<std::uint64_t> memory_file_system::free_bytes(const std::string&) {
  std::lock_guard lock(disk_->mutex);
  return disk_->room();
}

std::unique_ptr<write_queue> memory_file_system::make_write_queue(std::uint32_t in_flight_max) {
  return std::make_unique<memory_write_queue>(disk_, in_flight_max);
}

void memory_file_system::crash(std::mt19937_64& random, std::uint32_t kept_of_256) {
  std::lock_guard lock(disk_->mutex);
  for (auto& [path, one] : disk_->files) {
    // A new node: whoever still has the old one open is of the time before.
    auto after = std::make_shared<node>();
    after->durable = one->durable;
    for (const loose_write& loose : one->loose) {
      for (std::uint64_t at = 0; at < loose.bytes.size(); at += sector_bytes) {
        if (random() % 256 >= kept_of_256) continue;
        const std::uint64_t bytes = std::min(sector_bytes, loose.bytes.size() - at);
        std::copy_n(loose.bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes,
                    after->durable.begin() + static_cast<std::ptrdiff_t>(loose.offset + at));
      }
    }
    after->current = after->durable;
    one = std::move(after);
  }
  disk_->allowed_writes = UINT64_MAX;
}

void memory_file_system::kill() {
  std::lock_guard lock(disk_->mutex);
  for (auto& [path, one] : disk_->files)
    one = std::make_shared<node>(*one);
  disk_->allowed_writes = UINT64_MAX;
}

void memory_file_system::hold_writes(bool hold) {
  allow_writes(hold ? 0 : UINT64_MAX);
}

void memory_file_system::allow_writes(std::uint64_t count) {
  std::lock_guard lock(disk_->mutex);
  disk_->allowed_writes = count;
}

void memory_file_system::set_capacity(std::uint64_t bytes) {
  std::lock_guard lock(disk_->mutex);
  disk_->capacity = bytes;
}

std::vector<std::byte> memory_file_system::content(const std::string& path) const {
  std::lock_guard lock(disk_->mutex);
  const auto found = disk_->files.find(path);
  return found == disk_->files.end() ? std::vector<std::byte>{} : found->second->current;
}

void memory_file_system::set_content(const std::string& path, std::vector<std::byte> bytes) {
  std::lock_guard lock(disk_->mutex);
  auto& one = disk_->files[path];
  if (one == nullptr) one = std::make_shared<node>();
  one->durable = bytes;
  one->current = std::move(bytes);
  one->loose.clear();
}

void memory_file_system::flip_bit(const std::string& path, std::uint64_t offset, unsigned bit) {
  std::lock_guard lock(disk_->mutex);
  const auto found = disk_->files.find(path);
  MILLRACE_CHECK(found != disk_->files.end() && offset < found->second->current.size(),
                 "flip_bit inside a file");
  for (auto* const bytes : {&found->second->current, &found->second->durable}) {
    (*bytes)[offset] ^= std::byte{1} << (bit % 8);
  }
}

}  // namespace millrace
