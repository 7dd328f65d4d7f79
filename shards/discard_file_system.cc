#include "shards/discard_file_system.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace millrace {
namespace {

/// The names that exist. Shared by the file system and its open files.
struct directory_tree {
  std::mutex mutex;
  std::map<std::string, std::uint64_t> sizes;
};

class discarding_file final : public file {
 public:
  discarding_file(std::shared_ptr<directory_tree> tree, std::string path)
      : tree_(std::move(tree)), path_(std::move(path)) {}

  const std::string& path() const override { return path_; }
  result<std::uint64_t> size() const override {
    std::lock_guard lock(tree_->mutex);
    return tree_->sizes[path_];
  }
  status read_at(std::uint64_t offset, mutable_byte_view into) const override {
    return error(error_code::unsupported, path_ + ": " + std::to_string(into.size()) +
                                              " bytes at " + std::to_string(offset) +
                                              " were discarded");
  }
  std::uint32_t read_alignment() const override { return 1; }
  std::uint64_t next_data(std::uint64_t /*offset*/) const override { return *size(); }
  status allocate(std::uint64_t bytes) override {
    std::lock_guard lock(tree_->mutex);
    std::uint64_t& size = tree_->sizes[path_];
    size = std::max(size, bytes);
    return {};
  }
  status truncate(std::uint64_t bytes) override {
    std::lock_guard lock(tree_->mutex);
    tree_->sizes[path_] = bytes;
    return {};
  }
  status write_durable(std::uint64_t offset, byte_view from) override {
    return allocate(offset + from.size());
  }
  status sync() override { return {}; }

 private:
  std::shared_ptr<directory_tree> tree_;
  std::string path_;
};

class discarding_queue final : public write_queue {
 public:
  explicit discarding_queue(std::uint32_t in_flight_max) : in_flight_max_(in_flight_max) {
    tokens_.reserve(in_flight_max);
  }
  bool submit(file& /*to*/, std::uint64_t /*offset*/, byte_view /*from*/, durability /*wanted*/,
              std::uint64_t token) override {
    if (tokens_.size() == in_flight_max_) return false;
    tokens_.push_back(token);
    return true;
  }
  void poll(std::vector<finished_write>& out) override {
    for (const std::uint64_t token : tokens_)
      out.push_back({.token = token, .outcome = {}});
    tokens_.clear();
  }
  int poll_fd() const override { return -1; }
  std::string describe() const override { return "discard"; }

 private:
  std::uint32_t in_flight_max_;
  std::vector<std::uint64_t> tokens_;
};

class discard_file_system final : public file_system {
 public:
  result<std::unique_ptr<file>> open(const std::string& path, open_mode mode) override {
    std::lock_guard lock(tree_->mutex);
    const bool exists = tree_->sizes.contains(path);
    if (mode == open_mode::create && exists) {
      return error(error_code::already_exists, path + ": File exists");
    }
    if (mode != open_mode::create && !exists) {
      return error(error_code::not_found, path + ": No such file");
    }
    tree_->sizes.try_emplace(path, 0);
    return std::unique_ptr<file>(std::make_unique<discarding_file>(tree_, path));
  }
  result<std::vector<std::string>> list(const std::string& directory) override {
    std::lock_guard lock(tree_->mutex);
    const std::string prefix = directory + "/";
    std::vector<std::string> names;
    for (const auto& [path, size] : tree_->sizes) {
      if (path.starts_with(prefix)) names.push_back(path.substr(prefix.size()));
    }
    return names;
  }
  status create_directory(const std::string& /*path*/) override { return {}; }
  status remove(const std::string& path) override {
    std::lock_guard lock(tree_->mutex);
    tree_->sizes.erase(path);
    return {};
  }
  status remove_directory(const std::string& path) override {
    std::lock_guard lock(tree_->mutex);
    std::erase_if(tree_->sizes,
                  [&](const auto& entry) { return entry.first.starts_with(path + "/"); });
    return {};
  }
  result<std::uint64_t> free_bytes(const std::string& /*directory*/) override {
    return std::uint64_t{1} << 62;
  }
  std::unique_ptr<write_queue> make_write_queue(std::uint32_t in_flight_max) override {
    return std::make_unique<discarding_queue>(in_flight_max);
  }

 private:
  std::shared_ptr<directory_tree> tree_ = std::make_shared<directory_tree>();
};

}  // namespace

std::unique_ptr<file_system> make_discard_file_system() {
  return std::make_unique<discard_file_system>();
}

}  // namespace millrace
