#include "shards/pipeline.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <future>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "pipeline_fixture.h"

namespace millrace {
namespace {

using pipeline_test = pipeline_fixture;

TEST_F(pipeline_test, every_record_is_in_the_shard_of_its_md5_once_and_in_order) {
  open();
  for (const std::uint32_t shards : {1u, 4u, 300u}) {
    const std::string name = "stream-" + std::to_string(shards);
    test_door door(shards);
    const stream_id stream = create(name, shards);
    for (const std::uint32_t records : {1u, 33u, 1000u, 257u})
      submit(door.fill(stream, records));
    pump(door, 4);
    for (const record_batch* batch : door.finished_batches()) {
      EXPECT_EQ(batch->result, outcome::committed);
      EXPECT_EQ(batch->entries[0].result, outcome::committed);
    }
    expect_all_in_order(name, door.written());
  }
}

TEST_F(pipeline_test, a_batch_comes_back_with_the_place_of_each_record) {
  open();
  test_door door(1);
  const stream_id stream = create("orders", 64);
  for (int i = 0; i < 3; ++i)
    submit(door.fill(stream, 200));
  pump(door, 3);
  const auto log = *line_->log_of("orders");
  for (const record_batch* batch : door.finished_batches()) {
    std::uint32_t in_runs = 0;
    for (const auto& run : batch->runs) {
      EXPECT_GT(run.record_count, 0u) << "only shards that have records";
      EXPECT_EQ(run.created_s, shards_of("orders")[0].created_s);
      in_runs += run.record_count;
    }
    EXPECT_EQ(in_runs, 200u);
    for (std::size_t i = 0; i < batch->records.size(); ++i) {
      const auto& run = batch->runs[batch->run[i]];
      const record_index index = run.first.next(batch->rank[i]);
      const auto read = log->read(run.shard, index, 1, 1);
      ASSERT_TRUE(read.ok());
      ASSERT_EQ(read->records.size(), 1u);
      EXPECT_EQ(read->records[0].record.key(), batch->records[i].view().key());
      EXPECT_EQ(read->records[0].record.data().size(), batch->records[i].view().data().size());
      EXPECT_EQ(read->records[0].arrival_us, batch->arrival_us);
    }
  }
}

/// Keeps what it is asked to wait for.
struct answered_home final : result_home {
  void answered(result_query&) override { done.set_value(); }
  std::promise<void> done;
};

TEST_F(pipeline_test, a_producer_that_comes_back_can_ask_where_its_records_went) {
  open();
  test_door door(1);
  const stream_id stream = create("orders", 4);
  const producer_id who(5);
  record_batch& opening = door.empty(stream);
  opening.entries.push_back({.producer = who, .kind = entry_kind::open});
  submit(opening);
  pump(door, 1);
  record_batch& batch = door.fill(stream, 100);
  batch.entries[0].kind = entry_kind::records;
  batch.entries[0].producer = who;
  batch.entries[0].epoch = opening.entries[0].epoch;
  submit(batch);
  pump(door, 2);
  for (int life = 0; life < 2; ++life) {
    answered_home home;
    result_query asked{
        .stream = stream, .producer = who, .count = 100, .places = {}, .home = &home};
    ASSERT_TRUE(line_->results().ask(asked));
    home.done.get_future().wait();
    ASSERT_EQ(asked.places.size(), 100u);
    for (std::size_t i = 0; i < 100; ++i) {
      const auto& run = batch.runs[batch.run[i]];
      EXPECT_EQ(asked.places[i].shard, run.shard);
      EXPECT_EQ(asked.places[i].index, run.first.next(batch.rank[i]));
    }
    reopen();
  }
  answered_home home;
  result_query late{.stream = stream, .producer = who, .count = 100, .places = {}, .home = &home};
  line_->stop();
  EXPECT_FALSE(line_->results().ask(late)) << "a door may be gone before the pipeline is";
}

TEST_F(pipeline_test, batches_of_a_stream_come_back_in_order_and_streams_do_not_mix) {
  open();
  std::vector<std::unique_ptr<test_door>> doors;
  std::vector<std::vector<const record_batch*>> sent(5);
  for (std::uint32_t i = 0; i < 5; ++i) {
    doors.push_back(std::make_unique<test_door>(i));
    create("s" + std::to_string(i), 1 + i);
  }
  for (int round = 0; round < 6; ++round) {
    for (std::uint32_t i = 0; i < 5; ++i) {
      record_batch& batch = doors[i]->fill(line_->find_stream("s" + std::to_string(i))->id, 50);
      sent[i].push_back(&batch);
      submit(batch);
    }
  }
  for (std::uint32_t i = 0; i < 5; ++i) {
    pump(*doors[i], 6);
    EXPECT_TRUE(std::ranges::equal(doors[i]->finished_batches(), sent[i]));
    expect_all_in_order("s" + std::to_string(i), doors[i]->written());
  }
}

TEST_F(pipeline_test, two_doors_feed_a_running_pipeline) {
  open();
  const stream_id stream = create("orders", 16);
  line_->start();
  std::vector<std::unique_ptr<test_door>> doors;
  for (std::uint32_t i = 0; i < 2; ++i) {
    doors.push_back(std::make_unique<test_door>(i));
    doors[i]->set_prefix("door " + std::to_string(i) + " key ");
  }
  std::vector<std::thread> threads;
  for (auto& door : doors) {
    threads.emplace_back([&] {
      for (int i = 0; i < 60; ++i) {
        record_batch& batch = door->fill(stream, 100);
        while (!line_->submit(batch))
          std::this_thread::yield();
      }
      door->wait_for(60);
    });
  }
  for (std::thread& one : threads)
    one.join();
  std::map<std::string, std::uint64_t> written = doors[0]->written();
  written.insert(doors[1]->written().begin(), doors[1]->written().end());
  expect_all_in_order("orders", written);
  EXPECT_TRUE(line_->is_idle(stream));
  EXPECT_EQ(line_->counters().get(counter::records_durable), 12'000u);
  EXPECT_EQ(line_->counters().get(counter::batches_committed), 120u);
  EXPECT_EQ(line_->counters().get(counter::records_routed), 12'000u);
}

TEST_F(pipeline_test, an_open_gives_a_producer_its_epoch_and_its_records_follow) {
  open();
  test_door door(1);
  const stream_id stream = create("orders", 4);
  const producer_id producer(make_uint128(1, 2));
  record_batch& opening = door.empty(stream);
  batch_entry open_entry;
  open_entry.kind = entry_kind::open;
  open_entry.producer = producer;
  opening.entries.push_back(open_entry);
  submit(opening);
  pump(door, 1);
  EXPECT_EQ(opening.entries[0].result, outcome::committed);
  EXPECT_EQ(opening.entries[0].epoch, epoch_number(1));
  EXPECT_EQ(opening.entries[0].next_record, record_number(0));

  record_batch& data = door.fill(stream, 10);
  data.entries[0].kind = entry_kind::records;
  data.entries[0].producer = producer;
  data.entries[0].epoch = epoch_number(1);
  submit(data);
  // Of an epoch that was never given: none of it may reach the log.
  record_batch& stale = door.empty(stream);
  door.add_record(stale, "stale", "x");
  batch_entry stale_entry;
  stale_entry.kind = entry_kind::records;
  stale_entry.producer = producer;
  stale_entry.record_count = 1;
  stale_entry.first_record = record_number(10);
  stale.entries.push_back(stale_entry);
  submit(stale);
  pump(door, 3);
  EXPECT_EQ(data.entries[0].result, outcome::committed);
  EXPECT_EQ(stale.entries[0].result, outcome::fenced);
  EXPECT_TRUE(stale.records.empty());
  expect_all_in_order("orders", door.written());
}

TEST_F(pipeline_test, reopening_keeps_streams_and_records) {
  open();
  test_door door(3);
  const stream_id stream = create("orders", 8);
  for (int round = 0; round < 3; ++round) {
    submit(door.fill(stream, 500));
    pump(door, static_cast<std::size_t>(round) + 1);
    reopen();
    ASSERT_EQ(recovered_.size(), 1u);
    EXPECT_EQ(recovered_[0].name, "orders");
    EXPECT_TRUE(recovered_[0].report.damaged.empty());
    EXPECT_EQ(line_->find_stream("orders")->id, stream);
    expect_all_in_order("orders", door.written());
  }
  const auto described = line_->describe("orders");
  std::uint64_t records = 0;
  for (const std::uint64_t of_shard : described->shard_records)
    records += of_shard;
  EXPECT_EQ(records, 1500u);
}

TEST_F(pipeline_test, describing_counts_records_and_bytes_of_each_shard) {
  open();
  test_door door(3);
  record_batch& batch = door.fill(create("orders", 2), 400);
  const std::uint64_t bytes = batch.record_bytes;
  submit(batch);
  pump(door, 1);
  const auto listed = line_->list();
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 1u);
  const stream_status& status = listed->front();
  EXPECT_EQ(status.shard_records[0] + status.shard_records[1], 400u);
  EXPECT_EQ(status.shard_bytes[0] + status.shard_bytes[1], bytes);
  EXPECT_GT(status.shard_bytes[0], 0u);
  EXPECT_GE(status.log_bytes, bytes);
  EXPECT_EQ(status.blocked, "");
  EXPECT_EQ(line_->describe("other").failure().code(), error_code::not_found);
}

TEST_F(pipeline_test, a_batch_grows_with_the_number_of_shards) {
  open();
  create("few", 4);
  create("many", 1024);
  create("most", 20'000);
  EXPECT_EQ(line_->find_stream("few")->batch_bytes_max, limits::batch_bytes_default);
  EXPECT_EQ(line_->find_stream("many")->batch_bytes_max, 4 * limits::mib);
  EXPECT_EQ(line_->find_stream("most")->batch_bytes_max, limits::batch_bytes_max);
  EXPECT_EQ(line_->find_stream("none").failure().code(), error_code::not_found);
}

TEST_F(pipeline_test, no_more_than_the_limit_may_wait) {
  options_.batches_max = 3;
  open();
  test_door door(1);
  const stream_id stream = create("orders", 1);
  const stream_id other = create("other", 1);
  EXPECT_TRUE(line_->is_idle(stream));
  for (int i = 0; i < 3; ++i)
    submit(door.fill(stream, 1));
  EXPECT_FALSE(line_->is_idle(stream));
  record_batch& fourth = door.fill(stream, 1);
  EXPECT_FALSE(line_->submit(fourth));
  EXPECT_EQ(fourth.state(), batch_state::filling);
  submit(door.fill(other, 1));  // another stream has its own queue
  pump(door, 4);
  submit(fourth);
  pump(door, 5);
  EXPECT_TRUE(line_->is_idle(stream));
}

TEST_F(pipeline_test, a_batch_for_no_stream_comes_back_at_once) {
  open();
  test_door door(1);
  record_batch& batch = door.fill(stream_id(77), 3);
  submit(batch);
  ASSERT_EQ(door.finished_count(), 1u);
  EXPECT_EQ(batch.result, outcome::stream_not_found);
  EXPECT_EQ(batch.entries[0].result, outcome::stream_not_found);
  EXPECT_TRUE(line_->is_idle(stream_id(77)));
  EXPECT_FALSE(line_->is_blocked(stream_id(77)));
}

TEST_F(pipeline_test, a_deleted_stream_gives_its_batches_back_and_its_files_go) {
  open();
  test_door door(1);
  const stream_id stream = create("orders", 2);
  submit(door.fill(stream, 100));
  pump(door, 1);
  const auto log = *line_->log_of("orders");
  submit(door.fill(stream, 1));
  submit(door.fill(stream, 1));
  const std::string directory =
      options_.data_directory + "/streams/" + std::to_string(stream.value);
  EXPECT_TRUE(std::filesystem::exists(directory));
  ASSERT_TRUE(line_->delete_stream("orders").ok());
  EXPECT_FALSE(std::filesystem::exists(directory));
  ASSERT_EQ(door.finished_count(), 3u);
  EXPECT_EQ(door.finished_batches()[2]->result, outcome::stream_not_found);
  record_batch& late = door.fill(stream, 1);
  submit(late);
  EXPECT_EQ(late.result, outcome::stream_not_found);
  EXPECT_EQ(line_->find_stream("orders").failure().code(), error_code::not_found);
  EXPECT_EQ(line_->delete_stream("orders").failure().code(), error_code::not_found);
  // Who reads holds the log, not the stream.
  EXPECT_EQ(log->durable_end(shard_index(0)).value + log->durable_end(shard_index(1)).value, 100u);
  const stream_id second = create("orders", 2);
  EXPECT_GT(second, stream);
  reopen();
  EXPECT_EQ(line_->find_stream("orders")->id, second);
}

TEST_F(pipeline_test,
       what_a_crash_left_of_a_deleted_stream_is_removed_and_a_lost_directory_is_noticed) {
  open();
  const stream_id stream = create("orders", 1);
  close();
  const std::string streams = options_.data_directory + "/streams/";
  std::filesystem::create_directory(streams + "77");
  open();
  EXPECT_FALSE(std::filesystem::exists(streams + "77"));
  close();
  std::filesystem::remove_all(streams + std::to_string(stream.value));
  const auto opened = pipeline::open(options_, recovered_);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.failure().code(), error_code::corrupt);
  EXPECT_NE(opened.failure().message().find("orders"), std::string::npos);
}

TEST_F(pipeline_test, a_second_process_is_told_who_has_the_directory) {
  open();
  const pid_t self = getpid();
  const pid_t child = fork();
  if (child == 0) {
    std::vector<recovered_stream> recovered;
    const auto second = pipeline::open(options_, recovered);
    const bool told =
        !second.ok() && second.failure().code() == error_code::unavailable &&
        second.failure().message().find(options_.data_directory) != std::string::npos &&
        second.failure().message().find(std::to_string(self)) != std::string::npos;
    _exit(told ? 0 : 1);
  }
  int ended = -1;
  ASSERT_EQ(waitpid(child, &ended, 0), child);
  EXPECT_EQ(ended, 0);
  reopen();  // and it is free again after the first has closed
}

TEST_F(pipeline_test, stopping_makes_durable_what_was_submitted_and_refuses_the_rest) {
  for (const bool threaded : {false, true}) {
    open();
    const std::string name = threaded ? "threaded" : "plain";
    test_door door(1);
    const stream_id stream = create(name, 4);
    if (threaded) line_->start();
    for (int i = 0; i < 20; ++i)
      submit(door.fill(stream, 300));
    line_->stop();
    ASSERT_EQ(door.finished_count(), 20u);
    for (const record_batch* batch : door.finished_batches()) {
      EXPECT_EQ(batch->result, outcome::committed);
    }
    test_door late(2);
    record_batch& refused = late.fill(stream, 1);
    submit(refused);
    EXPECT_EQ(refused.result, outcome::shutting_down);
    EXPECT_EQ(line_->create_stream("x", 1, {}).failure().code(), error_code::unavailable);
    reopen();
    expect_all_in_order(name, door.written());
    close();
  }
}

TEST_F(pipeline_test, a_running_pipeline_sleeps_while_there_is_nothing_to_do) {
  open();
  test_door door(1);
  const stream_id stream = create("orders", 4);
  line_->start();
  submit(door.fill(stream, 10));
  door.wait_for(1);
  // Of a whole process whose other threads sleep too; a spinning agent would use all of it.
  timespec before{};
  timespec after{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  const auto used_ns =
      (after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec - before.tv_nsec;
  EXPECT_LT(used_ns, 100'000'000);
}

}  // namespace
}  // namespace millrace
