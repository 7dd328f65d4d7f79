/// `millrace produce` from its options to the log: over a real UDP socket, into a log in memory.
#include "app/produce.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "app/ack_file.h"
#include "app/produce_setup.h"
#include "base/histogram.h"
#include "ingest/udp_source.h"
#include "shards/sequence_number.h"
#include "tests/ingest/memory_door.h"

namespace millrace {
namespace {

using testing_parts::logged_record;
using testing_parts::memory_door;
using testing_parts::memory_log;

class produce_test : public testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        std::filesystem::temp_directory_path() / ("millrace-produce-" + std::to_string(getpid()));
    std::filesystem::create_directories(directory_);
    udp_source_options udp;
    udp.listen = {{.host = "127.0.0.1", .port = 0}};
    udp.slabs = 48;
    auto source = udp_source::create(arena_, udp);
    ASSERT_TRUE(source.ok()) << source.failure().message();
    options_.to = "udp://" + to_string((*source)->local(0));
    options_.stream = "orders";
    door_ = std::make_unique<memory_door>(std::move(*source), log_);
  }
  void TearDown() override {
    door_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string path(const std::string& name) const { return directory_ / name; }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(path(name), std::ios::binary) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  int run() {
    out_.str("");
    err_.str("");
    return run_produce(options_, {.out = out_, .err = err_, .stop = stop_});
  }
  std::vector<std::string> logged() const {
    std::vector<std::string> made;
    for (const logged_record& one : log_.records())
      made.push_back(one.key + "=" + one.data);
    return made;
  }

  std::filesystem::path directory_;
  arena arena_ = *arena::create({.bytes = 48 * udp_slab_bytes, .try_hugetlb = false});
  memory_log log_{1, 200};
  std::unique_ptr<memory_door> door_;
  produce_options options_;
  std::ostringstream out_;
  std::ostringstream err_;
  std::atomic<bool> stop_{false};
};

TEST_F(produce_test, a_file_is_in_the_log_line_by_line_and_every_ack_is_true) {
  write("in", "a 1\nb 2\nc 3\n");
  options_.file = path("in");
  options_.key_field = "1";
  options_.acks_file = path("acks");
  ASSERT_EQ(run(), 0) << err_.str();
  EXPECT_EQ(logged(), (std::vector<std::string>{"a=a 1", "b=b 2", "c=c 3"}));
  std::string expected;
  for (const logged_record& one : log_.records()) {
    char shard[32];
    std::snprintf(shard, sizeof shard, "shardId-%012u", one.place.shard.value);
    expected += std::to_string(one.number) + " " + shard + " " +
                sequence_number{.shard_created_s = one.place.created_s,
                                .index = one.place.index,
                                .arrival_s = one.place.arrival_s,
                                .shard = one.place.shard}
                    .to_string() +
                "\n";
  }
  EXPECT_EQ(read("acks"), expected);
  EXPECT_NE(out_.str().find("durable   3 records"), std::string::npos) << out_.str();
}

TEST_F(produce_test, the_same_command_again_neither_loses_nor_doubles) {
  write("in", "a\nb\nc\n");
  options_.file = path("in");
  options_.producer_id = "nightly import";
  options_.acks_file = path("acks");
  options_.records = 2;
  ASSERT_EQ(run(), 0) << err_.str();
  const std::string two = read("acks");
  options_.records = 0;
  ASSERT_EQ(run(), 0) << err_.str();
  EXPECT_EQ(logged(), (std::vector<std::string>{"0=a", "1=b", "2=c"}));
  const std::string all = read("acks");
  EXPECT_TRUE(all.starts_with(two));
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 3);
  // A lost or torn acks file is made whole again from the log.
  write("acks", two.substr(0, two.size() - 5));
  ASSERT_EQ(run(), 0) << err_.str();
  EXPECT_EQ(read("acks"), all);
  EXPECT_EQ(logged().size(), 3u);
}

TEST_F(produce_test, generated_records_all_arrive_with_the_wanted_size) {
  options_.generate = "sensors";
  options_.size = 128;
  options_.records = 5'000;
  ASSERT_EQ(run(), 0) << err_.str();
  const auto log = log_.records();
  ASSERT_EQ(log.size(), 5'000u);
  for (const logged_record& one : log)
    ASSERT_EQ(one.data.size(), 128u);
}

TEST_F(produce_test, a_bad_record_ends_the_run_and_is_named_unless_it_may_be_passed_over) {
  write("in", "{\"k\":\"a\"}\n{\"j\":1}\n{\"k\":\"b\"}\n");
  options_.file = path("in");
  options_.format = input_format::json;
  options_.key_field = "k";
  EXPECT_EQ(run(), 1);
  EXPECT_NE(err_.str().find("record 1: no field 'k'"), std::string::npos) << err_.str();
  EXPECT_EQ(logged().size(), 1u);
  options_.skip_bad = true;
  EXPECT_EQ(run(), 0) << err_.str();
  EXPECT_EQ(logged().size(), 3u);
  EXPECT_NE(out_.str().find("bad       1"), std::string::npos) << out_.str();
}

TEST_F(produce_test, a_file_can_be_sent_several_times) {
  write("in", "x\ny\n");
  options_.file = path("in");
  options_.loop = 3;
  ASSERT_EQ(run(), 0) << err_.str();
  EXPECT_EQ(logged(), (std::vector<std::string>{"0=x", "1=y", "2=x", "3=y", "4=x", "5=y"}));
}

TEST_F(produce_test, stopping_flushes_what_was_read) {
  options_.generate = "trades";
  options_.rate = 20'000;
  std::thread stopper([this] {
    while (log_.records().size() < 100)
      std::this_thread::yield();
    stop_ = true;
  });
  ASSERT_EQ(run(), 0) << err_.str();
  stopper.join();
  EXPECT_NE(out_.str().find("durable   " + std::to_string(log_.records().size()) + " records"),
            std::string::npos)
      << out_.str();
}

TEST_F(produce_test, a_server_that_is_gone_is_given_up_after_the_stated_time) {
  options_.generate = "clicks";
  options_.rate = 1'000;
  options_.give_up_seconds = 0.5;
  options_.quiet = true;
  std::thread killer([this] {
    while (log_.records().size() < 100)
      std::this_thread::yield();
    door_.reset();
  });
  EXPECT_EQ(run(), 1);
  killer.join();
  EXPECT_NE(err_.str().find("gave up"), std::string::npos) << err_.str();
}

TEST_F(produce_test, options_that_cannot_be_are_usage_errors) {
  EXPECT_EQ(run(), 2);  // nothing to send
  options_.generate = "weather";
  EXPECT_EQ(run(), 2);
  options_.generate = "clicks";
  options_.file = "-";
  EXPECT_EQ(run(), 2);
  options_.file.clear();
  options_.to = "http://127.0.0.1:4567";
  options_.insecure = true;
  EXPECT_EQ(run(), 2);
  EXPECT_NE(err_.str().find("are for --to https://"), std::string::npos) << err_.str();
  options_.to = "https://127.0.0.1:4567";
  options_.ca = "some.crt";
  EXPECT_EQ(run(), 2);
  EXPECT_NE(err_.str().find("--insecure asks nobody"), std::string::npos) << err_.str();
  options_.insecure = false;
  EXPECT_EQ(run(), 2);
  EXPECT_NE(err_.str().find("CA file 'some.crt'"), std::string::npos) << err_.str();
  options_.ca.clear();
  options_.to = "http://127.0.0.1:4567";
  options_.producer_id = "a";
  EXPECT_EQ(run(), 2);
  EXPECT_NE(err_.str().find("--producer-id"), std::string::npos) << err_.str();
  options_.producer_id.clear();
  options_.request_records = 501;
  EXPECT_EQ(run(), 2);
  EXPECT_NE(err_.str().find("1 to 500"), std::string::npos) << err_.str();
  options_.to = "127.0.0.1:4567";
  EXPECT_EQ(run(), 2);
}

TEST(produce_setup, producer_ids_are_hex_or_any_text) {
  const std::string hex = "00112233445566778899aabbccddeeff";
  EXPECT_EQ(to_string(parse_producer_id(hex)), hex);
  EXPECT_EQ(parse_producer_id("a"), parse_producer_id("a"));
  EXPECT_FALSE(parse_producer_id("a") == parse_producer_id("b"));
  EXPECT_FALSE(parse_producer_id("") == parse_producer_id(""));
}

TEST(histogram, quantiles_are_within_two_per_cent) {
  histogram seen;
  EXPECT_EQ(seen.quantile(0.5), 0u);
  for (std::uint64_t value = 1; value <= 100'000; ++value)
    seen.add(value);
  for (const double part : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = part * 100'000;
    EXPECT_NEAR(static_cast<double>(seen.quantile(part)), exact, exact * 0.02) << part;
  }
  EXPECT_EQ(seen.quantile(1), 100'000u);
  seen.add(UINT64_MAX);
  EXPECT_EQ(seen.max(), UINT64_MAX);
}

}  // namespace
}  // namespace millrace
