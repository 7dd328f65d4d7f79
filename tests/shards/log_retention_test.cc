#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

using texts = std::vector<std::string>;

TEST(log_retention, the_newest_segment_goes_too_when_all_in_it_is_too_old) {
  log_fixture test;
  const producer_id who(77);
  auto opening = std::make_unique<built_batch>();
  opening->open_entry(who);
  test.submit(std::move(opening));
  auto one = std::make_unique<built_batch>();
  one->records_entry(who, epoch_number(1), record_number(0));
  one->record(shard_index(3), "k", "old");
  test.submit(std::move(one));
  EXPECT_EQ(test.log->drop_segments(test.wall_us + 1, 0), 0u) << "not while something is in flight";
  test.drain();
  EXPECT_EQ(test.log->drop_segments(test.wall_us, 0), 0u) << "not yet too old";
  EXPECT_GT(test.log->drop_segments(test.wall_us + 1, 0), 0u);
  EXPECT_EQ(test.log->drop_segments(test.wall_us + 1, 0), 0u) << "an empty one is enough";
  EXPECT_TRUE(test.memory.content(test.segment(1)).empty());
  EXPECT_LE(test.memory.content(test.segment(2)).size(), 3 * 4096u) << "reserves no room";
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(test.log->trim_horizon(shard_index(3)).value, 1u);
    EXPECT_EQ(test.log->next_index(shard_index(3)).value, 1u);
    EXPECT_EQ(test.log->producers().find(who)->next.value, 1u);
    EXPECT_TRUE(test.read_all(3).empty());
    test.kill();
    EXPECT_TRUE(test.report.damaged.empty());
  }
  test.write({{3, "new"}});
  EXPECT_EQ(test.read_all(3), texts{"new"});
  EXPECT_EQ(test.log->next_index(shard_index(3)).value, 2u);
  test.reopen();
  EXPECT_EQ(test.read_all(3), texts{"new"});
  EXPECT_TRUE(test.verify().empty());
}

}  // namespace
}  // namespace millrace
