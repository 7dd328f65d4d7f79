#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

TEST(log, a_record_comes_back_as_it_was_written) {
  log_fixture test;
  built_batch& one = test.write({{3, "hello"}, {1, "world"}, {3, "again"}});
  EXPECT_EQ(one.batch().result, outcome::committed);
  EXPECT_EQ(one.batch().entries[0].result, outcome::committed);
  EXPECT_EQ(test.read_all(3), (std::vector<std::string>{"hello", "again"}));
  EXPECT_EQ(test.read_all(1), std::vector<std::string>{"world"});
  EXPECT_TRUE(test.read_all(2).empty());
  EXPECT_EQ(test.log->durable_end(shard_index(3)).value, 2u);
  test.reopen();
  EXPECT_EQ(test.read_all(3), (std::vector<std::string>{"hello", "again"}));
  EXPECT_EQ(test.read_all(1), std::vector<std::string>{"world"});
  EXPECT_TRUE(test.verify().empty());
}

}  // namespace
}  // namespace millrace
