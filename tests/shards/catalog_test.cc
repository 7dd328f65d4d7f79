#include "shards/catalog.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "temporary_directory.h"
#include "watched_disk.h"

namespace millrace {
namespace {

constexpr std::uint64_t now_us = 1'700'000'000'000'000;

class catalog_test : public testing::Test {
 protected:
  catalog_test() { open(); }
  void open() {
    catalog_.reset();
    auto opened = catalog::open(path());
    ASSERT_TRUE(opened.ok()) << opened.failure().message();
    catalog_ = std::move(*opened);
  }
  std::string path() const { return directory_.path() + "/catalog.db"; }
  stream_description create(const std::string& name, std::uint32_t shards,
                            const retention_policy& retention = {}) {
    auto made = catalog_->create_stream(name, shards, retention, now_us, nullptr);
    EXPECT_TRUE(made.ok()) << made.failure().message();
    return made.ok() ? *made : stream_description();
  }
  error refusal(std::string_view name, std::uint32_t shards,
                const retention_policy& retention = {}) {
    auto made = catalog_->create_stream(name, shards, retention, now_us, nullptr);
    EXPECT_FALSE(made.ok());
    return made.ok() ? error(error_code::io, "created") : made.failure();
  }

  temporary_directory directory_;
  std::unique_ptr<catalog> catalog_;
};

TEST_F(catalog_test, a_new_stream_has_an_even_split_and_is_there_after_reopening) {
  const retention_policy retention{
      .hours = 48, .bytes_max = 1 << 30, .when_full = full_policy::drop_oldest};
  const stream_description made = create("orders", 3, retention);
  open();
  const auto found = catalog_->describe("orders");
  ASSERT_TRUE(found.ok()) << found.failure().message();
  EXPECT_EQ(found->id, made.id);
  EXPECT_EQ(found->created_us, now_us);
  EXPECT_EQ(found->retention, retention);
  EXPECT_EQ(found->shards, made.shards);
  EXPECT_EQ(found->next_shard, shard_index(3));
  ASSERT_EQ(found->shards.size(), 3u);
  EXPECT_EQ(found->shards[1].hash_first, uint128_max / 3);
  EXPECT_EQ(found->shards[1].hash_last, uint128_max / 3 * 2 - 1);
  EXPECT_EQ(found->shards[2].hash_last, uint128_max);
  EXPECT_EQ(found->shards[2].created_s, now_us / 1'000'000);
  EXPECT_EQ(found->open_map().size(), 3u);
}

TEST_F(catalog_test, streams_are_listed_by_name) {
  create("b", 1);
  create("c", 2);
  create("a", 3);
  const auto listed = catalog_->list();
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 3u);
  EXPECT_EQ((*listed)[0].name, "a");
  EXPECT_EQ((*listed)[0].shards.size(), 3u);
  EXPECT_EQ((*listed)[2].name, "c");
}

TEST_F(catalog_test, a_deleted_streams_number_is_not_used_again) {
  const stream_id first = create("orders", 4).id;
  ASSERT_TRUE(catalog_->delete_stream(first).ok());
  EXPECT_EQ(catalog_->describe("orders").failure().code(), error_code::not_found);
  open();
  const stream_description second = create("orders", 2);
  EXPECT_GT(second.id, first);
  EXPECT_EQ(second.shards.size(), 2u);
}

TEST_F(catalog_test, a_stream_whose_preparation_fails_does_not_exist) {
  auto made = catalog_->create_stream("orders", 1, {}, now_us,
                                      [](const stream_description& stream) -> status {
                                        EXPECT_GT(stream.id.value, 0u);
                                        return error(error_code::storage_full, "no room");
                                      });
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.failure().code(), error_code::storage_full);
  EXPECT_TRUE(catalog_->list()->empty());
  create("orders", 1);
}

TEST_F(catalog_test, what_is_not_acceptable_is_refused_with_value_and_limit) {
  create("orders", 1);
  EXPECT_EQ(refusal("orders", 1).code(), error_code::already_exists);
  EXPECT_EQ(refusal("", 1).code(), error_code::invalid_argument);
  EXPECT_EQ(refusal("two words", 1).code(), error_code::invalid_argument);
  EXPECT_EQ(refusal(std::string(129, 'a'), 1).code(), error_code::invalid_argument);
  EXPECT_EQ(refusal("x", 0).code(), error_code::invalid_argument);
  const error many = refusal("x", limits::open_shards_max + 1);
  EXPECT_NE(many.message().find("20001"), std::string::npos) << many.message();
  EXPECT_NE(many.message().find("20000"), std::string::npos) << many.message();
  EXPECT_EQ(refusal("x", 1, {.hours = 23}).code(), error_code::invalid_argument);
  EXPECT_EQ(refusal("x", 1, {.hours = 8761}).code(), error_code::invalid_argument);
  create(std::string(128, 'a'), 1);
}

TEST_F(catalog_test, replaced_and_forgotten_shards_stay_so_and_open_ones_are_never_forgotten) {
  stream_description stream = create("orders", 1);
  shard_info left = stream.shards[0];
  stream.shards[0].closed_s = 1'700'000'100;
  left.parent = shard_index(0);
  left.created_s = 1'700'000'101;
  shard_info right = left;
  left.shard = shard_index(1);
  left.hash_last = uint128_max / 2;
  right.shard = shard_index(2);
  right.hash_first = uint128_max / 2 + 1;
  stream.shards.push_back(left);
  stream.shards.push_back(right);
  stream.next_shard = shard_index(3);
  ASSERT_TRUE(catalog_->replace_shards(stream).ok());
  open();
  EXPECT_EQ(catalog_->describe("orders")->shards, stream.shards);
  EXPECT_EQ(catalog_->describe("orders")->next_shard, shard_index(3));
  ASSERT_TRUE(catalog_->forget_shards(stream.id, {shard_index(0), shard_index(1)}).ok());
  open();
  const auto left_over = catalog_->describe("orders");
  ASSERT_TRUE(left_over.ok());
  ASSERT_EQ(left_over->shards.size(), 2u);
  EXPECT_EQ(left_over->shards[0], left);
  EXPECT_EQ(left_over->next_shard, shard_index(3));
}

TEST_F(catalog_test, a_change_of_retention_is_kept) {
  const stream_id id = create("orders", 1).id;
  const retention_policy wanted{
      .hours = 8760, .bytes_max = 7, .when_full = full_policy::drop_oldest};
  ASSERT_TRUE(catalog_->set_retention(id, wanted).ok());
  EXPECT_FALSE(catalog_->set_retention(id, {.hours = 1}).ok());
  open();
  EXPECT_EQ(catalog_->describe("orders")->retention, wanted);
}

TEST_F(catalog_test, a_change_is_on_the_disk_when_the_call_returns) {
  const std::string directory = std::filesystem::canonical(directory_.path());
  const auto synced_last = [] {
    std::vector<std::string> paths;
    for (const watched_disk::call& one : watched_disk::take()) {
      if (one.what == watched_disk::call::kind::sync) paths.push_back(one.path);
    }
    return std::vector(paths.end() - std::min<std::ptrdiff_t>(2, std::ssize(paths)), paths.end());
  };
  // The tables, and that the journal is gone: a journal that came back would undo the change.
  const std::vector<std::string> wanted{directory + "/catalog.db", directory};
  watched_disk::take();
  const stream_id id = create("orders", 1).id;
  EXPECT_EQ(synced_last(), wanted);
  ASSERT_TRUE(catalog_->set_retention(id, {.hours = 48}).ok());
  EXPECT_EQ(synced_last(), wanted);
  ASSERT_TRUE(catalog_->delete_stream(id).ok());
  EXPECT_EQ(synced_last(), wanted);
}

TEST_F(catalog_test, a_file_that_is_no_catalog_is_refused) {
  const std::string other = directory_.path() + "/other.db";
  std::ofstream(other) << std::string(8192, 'x');
  const auto opened = catalog::open(other);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.failure().code(), error_code::corrupt) << opened.failure().message();
}

TEST_F(catalog_test, attributes_stay_with_their_stream_and_go_with_it) {
  const stream_description made = create("orders", 1);
  ASSERT_TRUE(catalog_->set_attribute(made.id, "a", "one").ok());
  ASSERT_TRUE(catalog_->set_attribute(made.id, "b", "two").ok());
  ASSERT_TRUE(catalog_->set_attribute(made.id, "a", "new").ok());
  ASSERT_TRUE(catalog_->set_attribute(made.id, "b", std::nullopt).ok());
  ASSERT_TRUE(catalog_->set_attribute(stream_id(0), "key", "of all").ok());
  open();
  const auto found = catalog_->attributes(made.id);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(*found, (stream_attributes{{"a", "new"}}));
  ASSERT_TRUE(catalog_->delete_stream(made.id).ok());
  EXPECT_TRUE(catalog_->attributes(made.id)->empty());
  EXPECT_EQ(catalog_->attributes(stream_id(0))->at("key"), "of all");
}

}  // namespace
}  // namespace millrace
