/// Encryption at rest: what is on the disk, who can read it, and that no nonce comes twice.
#include <cstring>
#include <set>

#include <gtest/gtest.h>

#include "base/endian.h"
#include "shards/block_reader.h"
#include "shards/log_keyring.h"
#include "shards/run_cipher.h"
#include "tests/shards/log_fixture.h"

namespace millrace {
namespace {

using namespace log_format;

std::string hex(char digit) {
  return std::string(64, digit);
}

std::shared_ptr<const log_keyring> keys(const std::string& text) {
  auto parsed = log_keyring::parse(text, "test");
  EXPECT_TRUE(parsed.ok()) << parsed.failure().message();
  return std::make_shared<log_keyring>(*std::move(parsed));
}

log_options with(const std::string& text) {
  log_options options{.segment_bytes = 256 * 1024};
  if (!text.empty()) options.keyring = keys(text);
  return options;
}

const std::string both = "1:" + hex('a') + " first\n2:" + hex('b') + " second\n";

std::string bytes_of_segment(log_fixture& log, std::uint64_t number) {
  auto file = log.memory.open(log.segment(number), open_mode::read);
  EXPECT_TRUE(file.ok());
  std::string bytes(*(*file)->size(), '\0');
  EXPECT_TRUE((*file)->read_at(0, std::as_writable_bytes(std::span(bytes))).ok());
  return bytes;
}

/// The seals of all encrypted runs of a segment.
std::vector<run_seal> seals_of(const std::string& segment) {
  std::vector<run_seal> seals;
  const byte_view bytes = std::as_bytes(std::span(segment));
  for (std::size_t at = 0; at + sizeof(block_header) <= bytes.size(); at += alignment) {
    const auto header = parse_block_header(bytes.subspan(at));
    if (!header || header->cipher == cipher_none) continue;
    std::uint64_t run = at + sizeof(block_header) + header->run_count * sizeof(run_entry);
    for (std::uint32_t i = 0; i < header->run_count; ++i) {
      run +=
          load<run_entry>(bytes.data() + at + sizeof(block_header) + i * sizeof(run_entry)).bytes;
      seals.push_back(load<run_seal>(bytes.data() + run - sizeof(run_seal)));
    }
  }
  return seals;
}

/// What must never be the same twice: key, salt and count.
std::string nonce_of(const run_seal& seal) {
  return {reinterpret_cast<const char*>(&seal), offsetof(run_seal, reserved)};
}

TEST(log_encryption, what_is_written_is_unreadable_on_the_disk_and_readable_through_the_log) {
  log_fixture log(with(both));
  ASSERT_TRUE(log.log->use_key(1).ok());
  log.write({{0, "a-secret-word"}, {1, "another-secret"}});
  EXPECT_EQ(log.read_all(0), std::vector<std::string>{"a-secret-word"}) << "from the hot tail";
  const std::string disk = bytes_of_segment(log, 1);
  EXPECT_EQ(disk.find("secret"), std::string::npos);
  EXPECT_EQ(seals_of(disk).size(), 2u);
  log.reopen();
  EXPECT_EQ(log.read_all(1), std::vector<std::string>{"another-secret"}) << "from the disk";
  EXPECT_TRUE(log.verify().empty());
  const auto step = log.log->next_block({}, false);
  ASSERT_TRUE(step.ok() && step->block);
  ASSERT_EQ(step->block->runs.size(), 2u);
  EXPECT_EQ(step->block->record_bytes,
            step->block->runs[0].bytes.size() + step->block->runs[1].bytes.size());
}

TEST(log_encryption, keys_change_and_end_and_all_that_was_written_stays_readable) {
  log_fixture log(with(both));
  log.write({{0, "open"}});
  ASSERT_TRUE(log.log->use_key(1).ok());
  log.write({{0, "under one"}});
  ASSERT_TRUE(log.log->use_key(2).ok());
  log.write({{0, "under two"}});
  ASSERT_TRUE(log.log->use_key(0).ok());
  log.write({{0, "open again"}});
  const std::vector<std::string> all{"open", "under one", "under two", "open again"};
  EXPECT_EQ(log.read_all(0), all);
  log.kill();
  EXPECT_EQ(log.read_all(0), all);
}

TEST(log_encryption, each_record_says_whether_it_is_encrypted_in_the_log) {
  log_fixture log(with(both));
  log.write({{0, "open"}});
  ASSERT_TRUE(log.log->use_key(1).ok());
  log.write({{0, "shut"}, {0, "shut too"}});
  ASSERT_TRUE(log.log->use_key(0).ok());
  log.write({{0, "open again"}});
  const std::vector<bool> wanted{false, true, true, false};
  for (const char* from : {"the hot tail", "the disk"}) {
    const auto chunk = log.log->read(shard_index(0), {}, 1000, 10);
    ASSERT_TRUE(chunk.ok());
    std::vector<bool> found;
    for (const stored_record& one : chunk->records)
      found.push_back(one.is_encrypted);
    EXPECT_EQ(found, wanted) << from;
    log.reopen();
  }
  std::vector<bool> scanned;
  const auto take = [&](const std::vector<stored_record>& records) {
    for (const stored_record& one : records)
      scanned.push_back(one.is_encrypted);
    return true;
  };
  EXPECT_TRUE(log.log->scan({take, {}}).ok());
  EXPECT_EQ(scanned, wanted);
}

TEST(log_encryption, without_the_key_the_reason_is_told_and_nothing_is_taken_for_damage) {
  log_fixture log(with(both));
  ASSERT_TRUE(log.log->use_key(2).ok());
  log.write({{0, "x"}});
  log.options.keyring = keys("1:" + hex('a') + " first\n");
  log.reopen();
  const auto chunk = log.log->read(shard_index(0), {}, 1000, 10);
  ASSERT_FALSE(chunk.ok());
  EXPECT_EQ(chunk.failure().code(), error_code::permission);
  EXPECT_NE(chunk.failure().message().find("key 2"), std::string::npos);
  EXPECT_EQ(log.log->next_block({}, true).failure().code(), error_code::permission);
  EXPECT_TRUE(log.verify().empty());
  std::uint64_t locked = 0;
  EXPECT_TRUE(
      log.log
          ->scan({{}, {}, [&](shard_index, record_index, std::uint32_t count) { locked += count; }})
          .ok());
  EXPECT_EQ(locked, 1u);

  EXPECT_EQ(log.log->use_key(2).failure().code(), error_code::permission);
  EXPECT_FALSE(log.log->can_append()) << "nothing goes in unencrypted instead";
  ASSERT_TRUE(log.log->blocked());
  ASSERT_TRUE(log.log->use_key(1).ok());
  EXPECT_TRUE(log.log->can_append());

  log.options.keyring = keys("2:" + hex('c') + " second\n");  // another secret of that number
  log.reopen();
  EXPECT_EQ(log.log->read(shard_index(0), {}, 1000, 10).failure().code(), error_code::corrupt);
  EXPECT_EQ(log.verify().size(), 1u);
  log.options.keyring = keys("2:" + hex('b') + " second state=disabled\n");
  log.reopen();
  EXPECT_EQ(log.log->read(shard_index(0), {}, 1000, 10).failure().code(), error_code::permission);
}

TEST(log_encryption, no_nonce_comes_twice_over_crashes_failed_writes_and_changes_of_keys) {
  log_fixture log(with(both));
  std::set<std::string> seen;
  std::set<std::string> bodies;
  for (int life = 0; life < 6; ++life) {
    ASSERT_TRUE(log.log->use_key(1 + life % 2).ok());
    for (int i = 0; i < 4; ++i)
      log.write({{0, "the same words"}, {1, "in each life"}});
    // The key in use, again: another salt.
    ASSERT_TRUE(log.log->use_key(1 + life % 2).ok());
    // In flight when the power fails: their place in the file is written again with other words.
    log.submit({{0, "never acked " + std::to_string(life)}});
    log.crash(128);
  }
  std::size_t count = 0;
  for (std::uint64_t number = 1; number < 20; ++number) {
    if (!log.memory.open(log.segment(number), open_mode::read).ok()) continue;
    for (const run_seal& seal : seals_of(bytes_of_segment(log, number))) {
      ++count;
      EXPECT_TRUE(seen.insert(nonce_of(seal)).second);
    }
  }
  EXPECT_GE(count, 6u * 4 * 2);
}

TEST(log_encryption, a_block_that_is_written_anew_is_the_same_bytes) {
  log_fixture log(with(both));
  ASSERT_TRUE(log.log->use_key(1).ok());
  log.write({{0, "before"}});
  log.plan.failing_writes = 1;
  log.submit({{0, "twice"}});
  for (int i = 0; i < 20; ++i)
    log.poll(limits::blocked_retry_us);
  EXPECT_EQ(log.read_all(0), (std::vector<std::string>{"before", "twice"}));
  std::map<std::string, std::string> tags;
  for (std::uint64_t number = 1; number < 5; ++number) {
    if (!log.memory.open(log.segment(number), open_mode::read).ok()) continue;
    for (const run_seal& seal : seals_of(bytes_of_segment(log, number))) {
      const std::string tag(reinterpret_cast<const char*>(seal.tag), sizeof seal.tag);
      EXPECT_EQ(tags.try_emplace(nonce_of(seal), tag).first->second, tag);
    }
  }
  EXPECT_EQ(tags.size(), 2u);
}

TEST(log_encryption, a_run_opens_at_its_own_place_alone_and_only_unchanged) {
  const auto ring = keys(both);
  run_sealer sealer(*ring->find(1));
  const run_opener opener(ring);
  const run_place place{stream_id(7), shard_index(3), record_index(5), 2};
  std::vector<std::byte> run(64 + sizeof(run_seal), std::byte{9});
  sealer.seal(place, {run.data(), 64});
  std::vector<std::byte> plain(64);
  ASSERT_TRUE(opener.open(place, run, plain.data()).ok());
  EXPECT_EQ(plain, std::vector<std::byte>(64, std::byte{9}));
  for (const run_place& other : {run_place{stream_id(8), shard_index(3), record_index(5), 2},
                                 run_place{stream_id(7), shard_index(4), record_index(5), 2},
                                 run_place{stream_id(7), shard_index(3), record_index(6), 2},
                                 run_place{stream_id(7), shard_index(3), record_index(5), 3}})
    EXPECT_EQ(opener.open(other, run, plain.data()).failure().code(), error_code::corrupt);
  for (std::size_t i = 0; i < run.size(); ++i) {
    if (i >= 64 + offsetof(run_seal, reserved) && i < 64 + offsetof(run_seal, tag)) continue;
    auto changed = run;
    changed[i] ^= std::byte{1};
    EXPECT_FALSE(opener.open(place, changed, plain.data()).ok()) << i;
  }
  EXPECT_FALSE(opener.open(place, byte_view(run).first(20), plain.data()).ok());
}

TEST(log_keyring, is_read_line_by_line_and_found_by_every_name) {
  const auto ring = keys("# of the test\n7:" + hex('a') +
                         " k1 alias/orders alias/aws/kinesis streams=orders,log*\n" +
                         "8:" + hex('b') + " k2 state=pending-deletion\n");
  ASSERT_NE(ring->find(7), nullptr);
  for (const char* name :
       {"k1", "alias/orders", "alias/aws/kinesis", "arn:aws:kms:us-east-1:000000000000:key/k1",
        "arn:aws:kms:us-east-1:000000000000:alias/orders"})
    EXPECT_EQ(ring->find(std::string_view(name)), ring->find(7)) << name;
  EXPECT_EQ(ring->find(std::string_view("k3")), nullptr);
  EXPECT_TRUE(ring->find(7)->allows_stream("logs"));
  EXPECT_FALSE(ring->find(7)->allows_stream("other"));
  EXPECT_EQ(ring->find(8)->state, log_key_state::pending_deletion);
}

TEST(log_keyring, errors_name_the_line_and_never_the_secret) {
  for (const std::string& bad :
       {"1:" + hex('a'), "0:" + hex('a') + " x", "1:" + hex('g') + " x", hex('a') + " x",
        "1:" + hex('a') + " x what=ever", "1:" + hex('a') + " x\n1:" + hex('b') + " y",
        "1:" + hex('a') + " x\n2:" + hex('b') + " x", std::string("# none")}) {
    const auto parsed = log_keyring::parse(bad, "keys");
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_TRUE(parsed.failure().message().starts_with("keys:"));
    EXPECT_EQ(parsed.failure().message().find("aaaa"), std::string::npos);
  }
}

}  // namespace
}  // namespace millrace
