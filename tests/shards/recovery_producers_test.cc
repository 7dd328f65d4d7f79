#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

TEST(recovery_producers, a_producer_goes_on_where_its_log_ends) {
  log_fixture test;
  const producer_id who(77);
  auto opening = std::make_unique<built_batch>();
  opening->open_entry(who);
  built_batch& opened = test.submit(std::move(opening));
  test.drain();
  EXPECT_EQ(opened.batch().entries[0].result, outcome::committed);
  const epoch_number epoch = opened.batch().entries[0].epoch;
  EXPECT_EQ(epoch.value, 1u);
  for (std::uint64_t first : {0u, 2u}) {
    auto one = std::make_unique<built_batch>();
    one->records_entry(who, epoch, record_number(first));
    one->record(shard_index(0), "k", "r" + std::to_string(first));
    one->record(shard_index(1), "k", "r" + std::to_string(first + 1));
    test.submit(std::move(one));
  }
  test.drain();
  for (int i = 0; i < 3; ++i) {
    test.crash(0);
    ASSERT_TRUE(test.log->producers().find(who).has_value());
    EXPECT_EQ(test.log->producers().find(who)->next.value, 4u);
    EXPECT_EQ(test.log->producers().find(who)->epoch.value, 1u);
    test.write({{9, "so that the next start reads a snapshot"}});
  }
  const auto places = test.log->find_results(who, record_number(1), 3);
  ASSERT_TRUE(places.ok()) << "every start began a segment: " << places.failure().message();
  EXPECT_EQ((*places)[0].sequence.shard, shard_index(1));
  EXPECT_EQ((*places)[0].sequence.index.value, 0u);
  EXPECT_EQ((*places)[2].sequence.shard, shard_index(1));
  EXPECT_EQ((*places)[2].sequence.index.value, 1u);
}

TEST(recovery_producers, results_are_looked_for_in_a_bounded_number_of_blocks) {
  log_fixture test({.segment_bytes = 64 * limits::mib});
  const producer_id who(77);
  auto opening = std::make_unique<built_batch>();
  opening->open_entry(who);
  test.submit(std::move(opening));
  auto one = std::make_unique<built_batch>();
  one->records_entry(who, epoch_number(1), record_number(0));
  one->record(shard_index(0), "k", "r");
  test.submit(std::move(one));
  test.drain();
  for (std::uint32_t i = 1; i < limits::results_blocks_max; ++i) {
    test.write({{0, "later"}});
  }
  EXPECT_TRUE(test.log->find_results(who, record_number(0), 1).ok()) << "in the last of them";
  test.write({{0, "later"}});
  for (int life = 0; life < 2; ++life) {
    const auto places = test.log->find_results(who, record_number(0), 1);
    ASSERT_FALSE(places.ok());
    EXPECT_EQ(places.failure().code(), error_code::not_found);
    test.kill();
    test.write({{0, "so that the next start reads a snapshot"}});
  }
}

}  // namespace
}  // namespace millrace
