#include "shards/file.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "shards/aligned_buffer.h"
#include "shards/memory_file_system.h"

namespace millrace {
namespace {

enum class disk { io_uring, threads, memory, shared_memory };

/// The contract of file.h, against every version of it.
class file_test : public testing::TestWithParam<disk> {
 protected:
  void SetUp() override {
    const disk which = GetParam();
    if (which == disk::memory) {
      files_ = std::make_unique<memory_file_system>();
      directory_ = "/d";
      ASSERT_TRUE(files_->create_directory(directory_).ok());
      return;
    }
    std::string pattern = which == disk::shared_memory ? "/dev/shm/millrace.XXXXXX" : "";
    if (pattern.empty()) pattern = std::filesystem::temp_directory_path() / "millrace.XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) GTEST_SKIP() << "no directory " << pattern;
    directory_ = pattern;
    made_ = true;
    files_ = make_posix_file_system(which == disk::threads ? flush_engine::threads
                                                           : flush_engine::io_uring);
  }
  void TearDown() override {
    if (made_) std::filesystem::remove_all(directory_);
  }

  std::unique_ptr<file> create(const std::string& name) {
    auto opened = files_->open(directory_ + "/" + name, open_mode::create);
    EXPECT_TRUE(opened.ok()) << opened.failure().message();
    return *std::move(opened);
  }
  static aligned_memory filled(std::uint64_t bytes, int with) {
    aligned_memory memory = allocate_aligned(bytes);
    std::fill_n(memory.get(), bytes, static_cast<std::byte>(with));
    return memory;
  }

  std::unique_ptr<file_system> files_;
  std::string directory_;
  bool made_ = false;
};

TEST_P(file_test, writes_in_flight_all_end_and_can_be_read_back_at_any_offset) {
  const auto one = create("a");
  ASSERT_TRUE(one->allocate(64 * 4096).ok());
  EXPECT_EQ(*one->size(), 64 * 4096u);
  const auto queue = files_->make_write_queue(4);
  std::vector<aligned_memory> blocks;
  for (int i = 0; i < 5; ++i)
    blocks.push_back(filled(2 * 4096, i + 1));
  for (std::uint64_t i = 0; i < 4; ++i) {
    ASSERT_TRUE(queue->submit(*one, i * 8192, {blocks[i].get(), 8192},
                              i % 2 == 0 ? durability::durable : durability::written, i));
  }
  EXPECT_FALSE(queue->submit(*one, 4 * 8192, {blocks[4].get(), 8192}, durability::durable, 4))
      << "four may be in flight";
  std::vector<finished_write> ended;
  for (int round = 0; ended.size() < 4 && round < 2000; ++round) {
    pollfd ready{queue->poll_fd(), POLLIN, 0};
    ::poll(&ready, ready.fd < 0 ? 0 : 1, 5);
    queue->poll(ended);
  }
  ASSERT_EQ(ended.size(), 4u);
  for (const finished_write& write : ended) {
    EXPECT_TRUE(write.outcome.ok()) << write.outcome.failure().message();
  }
  std::vector<std::byte> read(300);
  ASSERT_TRUE(one->read_at(8192 - 100, read).ok());
  EXPECT_EQ(read[0], std::byte{1});
  EXPECT_EQ(read[99], std::byte{1});
  EXPECT_EQ(read[100], std::byte{2});
  ASSERT_TRUE(one->read_at(5 * 8192, read).ok());
  EXPECT_EQ(read[0], std::byte{0}) << "reserved room reads as zeros";
  EXPECT_LE(one->next_data(5 * 8192), *one->size());
}

TEST_P(file_test, reading_past_the_end_is_an_error_that_names_the_file) {
  const auto one = create("a");
  const aligned_memory block = filled(4096, 7);
  ASSERT_TRUE(one->write_durable(0, {block.get(), 4096}).ok());
  std::vector<std::byte> read(100);
  const status past = one->read_at(4050, read);
  ASSERT_FALSE(past.ok());
  EXPECT_EQ(past.failure().code(), error_code::corrupt);
  EXPECT_NE(past.failure().message().find(directory_ + "/a"), std::string::npos);
  EXPECT_TRUE(one->read_at(3996, read).ok());
}

TEST_P(file_test, names_are_created_once_listed_in_order_and_removed) {
  (void)create("b");
  (void)create("a");
  const auto again = files_->open(directory_ + "/a", open_mode::create);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.failure().code(), error_code::already_exists);
  EXPECT_EQ(*files_->list(directory_), (std::vector<std::string>{"a", "b"}));
  ASSERT_TRUE(files_->remove(directory_ + "/a").ok());
  EXPECT_EQ(files_->open(directory_ + "/a", open_mode::read).failure().code(),
            error_code::not_found);
  EXPECT_EQ(files_->remove(directory_ + "/a").failure().code(), error_code::not_found);
  EXPECT_GT(*files_->free_bytes(directory_), 0u);
}

TEST_P(file_test, a_truncated_file_ends_there) {
  const auto one = create("a");
  ASSERT_TRUE(one->allocate(1 << 20).ok());
  const aligned_memory block = filled(8192, 7);
  ASSERT_TRUE(one->write_durable(0, {block.get(), 8192}).ok());
  ASSERT_TRUE(one->truncate(4096).ok());
  EXPECT_EQ(*one->size(), 4096u);
  ASSERT_TRUE(one->sync().ok());
}

std::string name_of(const testing::TestParamInfo<disk>& which) {
  switch (which.param) {
    case disk::io_uring:
      return "io_uring";
    case disk::threads:
      return "threads";
    case disk::memory:
      return "memory";
    case disk::shared_memory:
      break;
  }
  return "shared_memory";
}

INSTANTIATE_TEST_SUITE_P(disks, file_test,
                         testing::Values(disk::io_uring, disk::threads, disk::memory,
                                         disk::shared_memory),
                         name_of);

TEST(memory_disk, power_failure_keeps_what_was_durable_and_some_sectors_of_the_rest) {
  memory_file_system disk;
  ASSERT_TRUE(disk.create_directory("/d").ok());
  const auto one = *disk.open("/d/a", open_mode::create);
  ASSERT_TRUE(one->allocate(16 * 4096).ok());
  const auto queue = disk.make_write_queue(4);
  const std::vector<std::byte> bytes(4096, std::byte{9});
  ASSERT_TRUE(queue->submit(*one, 0, bytes, durability::durable, 0));
  std::vector<finished_write> ended;
  queue->poll(ended);
  disk.hold_writes(true);
  ASSERT_TRUE(queue->submit(*one, 4096, bytes, durability::durable, 1));
  queue->poll(ended);
  EXPECT_EQ(ended.size(), 1u);
  std::mt19937_64 random(1);
  disk.crash(random, 128);
  const std::vector<std::byte> left = disk.content("/d/a");
  EXPECT_EQ(std::count(left.begin(), left.begin() + 4096, std::byte{9}), 4096);
  const auto kept = std::count(left.begin() + 4096, left.begin() + 8192, std::byte{9});
  EXPECT_GT(kept, 0);
  EXPECT_LT(kept, 4096);
  EXPECT_EQ(kept % 512, 0);
}

}  // namespace
}  // namespace millrace
