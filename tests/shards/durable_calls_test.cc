// What the operating system's file system asks of the kernel, so that what it calls durable is.
#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>
#include <poll.h>

#include "shards/aligned_buffer.h"
#include "shards/file.h"
#include "tests/shards/temporary_directory.h"
#include "tests/shards/watched_disk.h"

namespace millrace {
namespace {

using calls = std::vector<watched_disk::call>;
using kind = watched_disk::call::kind;

class durable_calls : public testing::Test {
 protected:
  durable_calls()
      : path_(std::filesystem::canonical(directory_.path())),
        files_(make_posix_file_system(flush_engine::threads)),
        block_(allocate_aligned(disk_block_bytes)) {
    std::fill_n(block_.get(), disk_block_bytes, std::byte{7});
  }
  ~durable_calls() override { watched_disk::fail_syncs_of(""); }

  std::unique_ptr<file> create(const std::string& name) {
    auto made = files_->open(path_ + "/" + name, open_mode::create);
    EXPECT_TRUE(made.ok()) << made.failure().message();
    watched_disk::take();
    return *std::move(made);
  }
  void expect_durable_where_wanted(file_system& files) {
    const auto one = create("a");
    const auto queue = files.make_write_queue(1);
    for (const durability wanted : {durability::durable, durability::written}) {
      ASSERT_TRUE(queue->submit(*one, 0, block(), wanted, 0));
      std::vector<finished_write> ended;
      for (int round = 0; ended.empty() && round < 2000; ++round) {
        pollfd ready{queue->poll_fd(), POLLIN, 0};
        ::poll(&ready, 1, 5);
        queue->poll(ended);
      }
      ASSERT_EQ(ended.size(), 1u);
      EXPECT_TRUE(ended[0].outcome.ok()) << ended[0].outcome.failure().message();
      const kind expected = wanted == durability::durable ? kind::durable_write : kind::write;
      EXPECT_EQ(watched_disk::take(), (calls{{expected, path_ + "/a"}}));
    }
  }
  byte_view block() const { return {block_.get(), disk_block_bytes}; }

  temporary_directory directory_;
  std::string path_;
  std::unique_ptr<file_system> files_;
  aligned_memory block_;
};

TEST_F(durable_calls, a_write_of_a_thread_is_durable_where_it_was_wanted_and_only_there) {
  expect_durable_where_wanted(*files_);
}

TEST_F(durable_calls, a_write_of_the_ring_is_durable_where_it_was_wanted_and_only_there) {
  const auto ring = make_posix_file_system(flush_engine::io_uring);
  if (ring->make_write_queue(1)->describe() != "io_uring") {
    GTEST_SKIP() << "this kernel does not allow io_uring";
  }
  expect_durable_where_wanted(*ring);
}

TEST_F(durable_calls, a_small_write_and_a_sync_have_reached_the_disk_when_they_return) {
  const auto one = create("a");
  ASSERT_TRUE(one->write_durable(0, block()).ok());
  EXPECT_EQ(watched_disk::take(), (calls{{kind::write, path_ + "/a"}, {kind::sync, path_ + "/a"}}));
  ASSERT_TRUE(one->sync().ok());
  EXPECT_EQ(watched_disk::take(), (calls{{kind::sync, path_ + "/a"}}));
}

TEST_F(durable_calls, a_sync_that_fails_is_an_error_that_names_the_file) {
  const auto one = create("a");
  watched_disk::fail_syncs_of(path_ + "/a");
  for (const status& outcome : {one->sync(), one->write_durable(0, block())}) {
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.failure().code(), error_code::io);
    EXPECT_NE(outcome.failure().message().find(path_ + "/a: fdatasync"), std::string::npos);
  }
  watched_disk::fail_syncs_of("");
  EXPECT_TRUE(one->sync().ok());
}

TEST_F(durable_calls, a_name_that_was_made_or_removed_is_synced_in_the_directory_that_has_it) {
  const calls here{{kind::sync, path_}};
  watched_disk::take();
  ASSERT_TRUE(files_->create_directory(path_ + "/d").ok());
  EXPECT_EQ(watched_disk::take(), here);
  ASSERT_TRUE(files_->open(path_ + "/a", open_mode::create).ok());
  EXPECT_EQ(watched_disk::take(), here);
  ASSERT_TRUE(files_->open(path_ + "/a", open_mode::update).ok());
  EXPECT_EQ(watched_disk::take(), calls{}) << "no name is new";
  ASSERT_TRUE(files_->remove(path_ + "/a").ok());
  EXPECT_EQ(watched_disk::take(), here);
  ASSERT_TRUE(files_->remove_directory(path_ + "/d").ok());
  EXPECT_EQ(watched_disk::take(), here);
}

TEST_F(durable_calls, a_name_whose_directory_cannot_be_synced_is_an_error) {
  (void)create("a");
  ASSERT_TRUE(files_->create_directory(path_ + "/d").ok());
  watched_disk::fail_syncs_of(path_);
  const auto fails = [](const auto& outcome) {
    return !outcome.ok() && outcome.failure().code() == error_code::io;
  };
  EXPECT_TRUE(fails(files_->create_directory(path_ + "/e")));
  EXPECT_TRUE(fails(files_->open(path_ + "/b", open_mode::create)));
  EXPECT_TRUE(fails(files_->remove(path_ + "/a")));
  EXPECT_TRUE(fails(files_->remove_directory(path_ + "/d")));
}

}  // namespace
}  // namespace millrace
