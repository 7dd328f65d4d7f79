#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

using texts = std::vector<std::string>;

TEST(recovery_index, a_missing_or_damaged_index_is_built_anew) {
  log_fixture test;
  test.write({{0, "a"}, {5, "b"}});
  test.kill();
  test.write({{0, "c"}});
  ASSERT_TRUE(test.memory.remove(test.index(1)).ok());
  test.kill();
  EXPECT_TRUE(test.report.damaged.empty());
  EXPECT_EQ(test.read_all(0), (texts{"a", "c"}));
  EXPECT_FALSE(test.memory.content(test.index(1)).empty()) << "written again";
  const std::uint64_t bytes = test.memory.content(test.index(1)).size();
  for (std::uint64_t offset = 0; offset < bytes; offset += 61) {
    test.memory.flip_bit(test.index(1), offset, 2);
    test.kill();
    EXPECT_EQ(test.read_all(0), (texts{"a", "c"})) << offset;
    EXPECT_EQ(test.read_all(5), texts{"b"}) << offset;
  }
}

TEST(recovery_index, opened_for_reading_alone_a_log_is_left_as_it_is) {
  log_fixture test;
  test.write({{0, "a"}});
  test.kill();
  test.write({{0, "b"}});
  test.kill();
  test.log = nullptr;
  ASSERT_TRUE(test.memory.remove(test.index(1)).ok());
  const auto before = test.names();
  const auto bytes = test.memory.content(test.segment(2));
  test.options.read_only = true;
  test.reopen();
  EXPECT_FALSE(test.log->can_append());
  EXPECT_EQ(test.read_all(0), (texts{"a", "b"}));
  EXPECT_TRUE(test.verify().empty());
  test.log = nullptr;
  EXPECT_EQ(test.names(), before);
  EXPECT_EQ(test.memory.content(test.segment(2)), bytes);
}

}  // namespace
}  // namespace millrace
