#include "tests/base/random_rounds.h"
#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

using texts = std::vector<std::string>;

// The oracle: whatever was acked before a crash is there after it, once and in order, and what
// comes back beyond it is a prefix of what was in flight.
void run_random_crashes(std::uint64_t seed, durability ack, int lives) {
  log_options options;
  options.segment_bytes = 96 * 1024;
  options.ack = ack;
  log_fixture test(options, seed);
  std::mt19937_64& random = test.random;
  std::map<std::uint32_t, texts> acked;
  std::map<std::uint32_t, texts> submitted;
  const producer_id who(seed + 1);
  std::uint64_t number = 0;
  for (int life = 0; life < lives; ++life) {
    // The producer reconnects and learns where to go on.
    auto opening = std::make_unique<built_batch>();
    opening->open_entry(who);
    built_batch& opened = test.submit(std::move(opening));
    test.drain();
    ASSERT_EQ(opened.batch().entries[0].result, outcome::committed);
    const epoch_number epoch = opened.batch().entries[0].epoch;
    std::uint64_t next = opened.batch().entries[0].next_record.value;
    std::vector<built_batch*> in_flight;
    const auto steps = 1 + random() % 12;
    for (std::uint64_t step = 0; step < steps; ++step) {
      if (random() % 8 == 0) {
        test.plan.good_writes = random() % 2;
        test.plan.failing_writes = random() % 3;
        test.plan.failing_syncs = random() % 2;
        test.plan.failing_allocations = random() % 2;
        test.plan.failing_removes = random() % 2;
      }
      if (test.log->can_append()) {
        auto one = std::make_unique<built_batch>();
        one->records_entry(who, epoch, record_number(next));
        const auto count = 1 + random() % 20;
        for (std::uint64_t i = 0; i < count; ++i, ++next) {
          const auto shard = static_cast<std::uint32_t>(random() % 3);
          std::string text = std::to_string(number++) +
                             std::string(random() % (random() % 40 == 0 ? 150'000 : 1500), '.');
          submitted[shard].push_back(text);
          one->record(shard_index(shard), "k", text);
        }
        in_flight.push_back(&test.submit(std::move(one)));
      }
      if (random() % 3 == 0) test.memory.allow_writes(random() % 3);
      test.poll(random() % 2 == 0 ? 1000 : 300'000);
    }
    for (built_batch* const one : in_flight) {
      if (one->batch().result != outcome::committed) break;
      for (std::size_t i = 0; i < one->batch().records.size(); ++i) {
        const byte_view data = one->batch().records[i].view().data();
        acked[one->shard_of(i).value].emplace_back(reinterpret_cast<const char*>(data.data()),
                                                   data.size());
      }
    }
    test.plan.good_writes = test.plan.failing_writes = test.plan.failing_syncs = 0;
    test.plan.failing_allocations = test.plan.failing_removes = 0;
    if (ack == durability::written || random() % 3 == 0) {
      test.kill();
    } else {
      test.crash(static_cast<std::uint32_t>(random() % 3) * 128);
    }
    std::uint64_t total = 0;
    for (std::uint32_t shard = 0; shard < 3; ++shard) {
      const texts read = test.read_all(shard);
      ASSERT_GE(read.size(), acked[shard].size()) << "seed " << seed << " life " << life;
      ASSERT_LE(read.size(), submitted[shard].size());
      ASSERT_TRUE(std::equal(read.begin(), read.end(), submitted[shard].begin()))
          << "seed " << seed << " life " << life << " shard " << shard;
      acked[shard] = submitted[shard] = read;
      total += read.size();
      ASSERT_EQ(test.log->next_index(shard_index(shard)).value, read.size());
    }
    ASSERT_EQ(test.log->producers().find(who)->next.value, total) << "seed " << seed;
    ASSERT_TRUE(test.report.damaged.empty()) << test.report.damaged[0].what << " seed " << seed;
    const auto damaged = test.verify();
    ASSERT_TRUE(damaged.empty()) << damaged[0].path << " " << damaged[0].from << " "
                                 << damaged[0].what << " seed " << seed << " life " << life;
  }
}

TEST(recovery_crashes, random_power_failures_and_faults_never_lose_or_double_an_acked_record) {
  for (int seed = 1; seed <= random_rounds(150); ++seed) {
    run_random_crashes(static_cast<std::uint64_t>(seed), durability::durable, 12);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(recovery_crashes, killing_the_program_loses_nothing_even_when_acked_at_written) {
  for (int seed = 1; seed <= random_rounds(30); ++seed) {
    run_random_crashes(static_cast<std::uint64_t>(seed), durability::written, 8);
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace millrace
