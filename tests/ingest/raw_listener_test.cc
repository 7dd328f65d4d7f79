#include "ingest/raw_listener.h"

#include <cstring>
#include <deque>

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "base/record_format.h"

namespace millrace {
namespace {

/// A sink that keeps what it is given until the test says what became of it.
class fake_sink : public batch_sink {
 public:
  result<stream_target> find_stream(std::string_view name) override {
    ++lookups;
    if (name != "logs" || !exists) return error(error_code::not_found, "no such stream");
    return stream_target{stream_id(id), limits::batch_bytes_default};
  }
  bool submit(record_batch& batch) override {
    if (full) return false;
    batch.advance(batch_state::filling, batch_state::submitted);
    waiting.push_back(&batch);
    return true;
  }
  bool is_idle(stream_id) const override { return true; }
  bool is_blocked(stream_id) const override { return false; }

  void finish_all(outcome how) {
    for (; !waiting.empty(); waiting.pop_front()) {
      record_batch& batch = *waiting.front();
      for (batch_entry& entry : batch.entries)
        entry.result = how;
      batch.result = how;
      batch.advance(batch_state::submitted, batch_state::finished);
      batch.home().finished(batch);
    }
  }

  std::deque<record_batch*> waiting;
  bool full = false;
  bool exists = true;
  std::uint32_t id = 1;
  int lookups = 0;
};

class raw_listener_test : public testing::Test {
 protected:
  void listen(std::string_view options, std::uint32_t slabs = 4, std::uint32_t batches = 8) {
    auto parsed = parse_raw_listener(options);
    ASSERT_TRUE(parsed.ok()) << parsed.failure().message();
    filler_.emplace(sink_, batch_filler_options{.batches = batches}, counters_, nullptr);
    auto made = raw_listener::create(*parsed, slabs, memory_, sink_, *filler_, counters_);
    ASSERT_TRUE(made.ok()) << made.failure().message();
    listener_ = std::move(*made);
  }

  void receive(std::string text, const char* from = "192.0.2.9") {
    received_packet packet;
    packet.bytes = {reinterpret_cast<std::byte*>(text.data()), text.size()};
    packet.from.family = 4;
    ASSERT_EQ(inet_pton(AF_INET, from, packet.from.address.data()), 1);
    EXPECT_FALSE(listener_->handle(packet, 77, now_)) << "the packet's buffer is the door's";
    std::fill(text.begin(), text.end(), '?');  // the door reuses it at once
  }

  /// Submits, and tells what arrived as "key>data", in order; the batches stay submitted.
  std::vector<std::string> submitted() {
    filler_->submit_all();
    std::vector<std::string> out;
    for (const record_batch* batch : sink_.waiting) {
      for (const record_ref& one : batch->records) {
        EXPECT_EQ(check_record({one.bytes, one.stride}), record_fault::none);
        const byte_view data = one.view().data();
        out.push_back(std::string(one.view().key()) + ">" +
                      std::string(reinterpret_cast<const char*>(data.data()), data.size()));
      }
    }
    return out;
  }

  void finish(outcome how) {
    sink_.finish_all(how);
    filler_->collect(now_);
  }

  std::uint64_t count(counter c) const { return counters_.get(c); }

  arena memory_ = *arena::create({.bytes = 64 * limits::mib, .try_hugetlb = false});
  counter_set counters_;
  fake_sink sink_;
  std::optional<batch_filler> filler_;
  std::unique_ptr<raw_listener> listener_;
  std::uint64_t now_ = 1'000'000;
};

using strings = std::vector<std::string>;

TEST_F(raw_listener_test, a_datagram_is_a_record_keyed_by_its_source_address) {
  listen("127.0.0.1:5514=logs");
  receive("first\nstill first\n");
  receive("second", "198.51.100.200");
  EXPECT_EQ(submitted(), (strings{"192.0.2.9>first\nstill first\n", "198.51.100.200>second"}));
  EXPECT_EQ(count(counter::raw_records_received), 2u);
  EXPECT_EQ(sink_.waiting.front()->entries.size(), 1u);
  EXPECT_EQ(sink_.waiting.front()->entries[0].kind, entry_kind::raw);
  EXPECT_EQ(count(counter::decode_bytes_copied), 9u + 18 + 14 + 6);
}

TEST_F(raw_listener_test, an_ipv6_source_is_the_key_in_its_shortest_form) {
  listen("127.0.0.1:5514=logs");
  std::string text = "x";
  received_packet packet;
  packet.bytes = {reinterpret_cast<std::byte*>(text.data()), 1};
  packet.from.family = 6;
  packet.from.address = {0x20, 0x01, 0x0d, 0xb8};
  packet.from.address[15] = 1;
  EXPECT_FALSE(listener_->handle(packet, 0, now_));
  EXPECT_EQ(submitted(), strings{"2001:db8::1>x"});
}

TEST_F(raw_listener_test, each_line_is_a_record_when_asked_for) {
  listen("127.0.0.1:5514=logs,lines");
  receive("one\r\ntwo\n\nthree");
  EXPECT_EQ(submitted(), (strings{"192.0.2.9>one", "192.0.2.9>two", "192.0.2.9>three"}));
  EXPECT_EQ(count(counter::raw_dropped_empty), 1u);
}

TEST_F(raw_listener_test, the_key_may_be_a_token_of_the_record) {
  listen("127.0.0.1:5514=logs,lines,key-field=3");
  receive("a b  c d\nonly two\n x y\tz\nlast one k");
  EXPECT_EQ(submitted(), (strings{"c>a b  c d", "z> x y\tz", "k>last one k"}));
  EXPECT_EQ(count(counter::raw_dropped_key), 1u);
}

TEST_F(raw_listener_test, the_key_may_be_a_field_of_a_json_record) {
  listen("127.0.0.1:12201=logs,lines,key-json=user.id");
  receive(R"({"user":{"id":"ann"},"n":1}
{"user":{"id":42}}
{"user":{"id":""}}
{"user":{"name":"ann"}}
[1]
{"user":{"id":"cut)");
  EXPECT_EQ(submitted(),
            (strings{R"(ann>{"user":{"id":"ann"},"n":1})", R"(42>{"user":{"id":42}})"}));
  EXPECT_EQ(count(counter::raw_dropped_key), 4u);
}

TEST_F(raw_listener_test, keys_that_are_no_partition_keys_are_dropped_and_counted) {
  listen("127.0.0.1:5514=logs,key-field=1");
  receive(std::string(257, 'k') + " too long");
  receive("\xff\xfe not utf-8");
  receive("   ");
  EXPECT_EQ(submitted(), strings{});
  EXPECT_EQ(count(counter::raw_dropped_key), 3u);
}

TEST_F(raw_listener_test, an_empty_datagram_is_dropped_and_counted) {
  listen("127.0.0.1:5514=logs");
  receive("");
  EXPECT_EQ(submitted(), strings{});
  EXPECT_EQ(count(counter::raw_dropped_empty), 1u);
}

TEST_F(raw_listener_test, the_largest_datagram_fits) {
  listen("127.0.0.1:5514=logs,key-field=1");
  std::string text(limits::datagram_bytes_max, 'd');
  text[256] = ' ';
  for (int i = 0; i < 6; ++i)
    receive(text);
  EXPECT_EQ(submitted().size(), 6u);
  EXPECT_EQ(count(counter::raw_records_received), 6u);
}

TEST_F(raw_listener_test, without_a_free_buffer_records_are_dropped_and_taken_again_later) {
  listen("127.0.0.1:5514=logs", 2, 64);
  const std::string text(60'000, 'd');
  for (int i = 0; i < 12; ++i) {
    receive(text);
    filler_->submit_due(now_);
  }
  EXPECT_EQ(count(counter::raw_records_received), 8u) << "4 in each of two buffers";
  EXPECT_EQ(count(counter::raw_dropped_no_room), 4u);
  finish(outcome::committed);
  receive(text);
  EXPECT_EQ(submitted().size(), 1u);
  EXPECT_EQ(count(counter::raw_dropped_no_room), 4u);
}

TEST_F(raw_listener_test, a_quarter_of_the_batches_is_left_to_the_record_protocol) {
  listen("127.0.0.1:5514=logs", 4, 8);
  for (int i = 0; i < 20; ++i) {
    receive("x");
    filler_->submit_all();
  }
  EXPECT_EQ(filler_->capacity() - filler_->in_use(), 1u);
  EXPECT_EQ(count(counter::raw_records_received) + count(counter::raw_dropped_no_room), 20u);
  EXPECT_GT(count(counter::raw_dropped_no_room), 0u);
  finish(outcome::committed);
  EXPECT_EQ(filler_->in_use(), 0u);
}

TEST_F(raw_listener_test, records_of_a_dropped_run_leave_their_bytes_to_the_next) {
  listen("127.0.0.1:5514=logs", 1, 4);
  for (int i = 0; i < 4; ++i) {
    receive("held");
    filler_->submit_all();
  }
  const std::string text(60'000, 'd');
  for (int i = 0; i < 50; ++i)
    receive(text);
  const auto dropped = count(counter::raw_dropped_no_room);
  EXPECT_EQ(dropped, 50u);
  finish(outcome::committed);
  receive(text);
  EXPECT_EQ(submitted().size(), 1u) << "the dropped ones used nothing up";
}

TEST_F(raw_listener_test, records_of_a_refused_batch_are_counted) {
  listen("127.0.0.1:5514=logs,lines");
  receive("a\nb\nc");
  EXPECT_EQ(submitted().size(), 3u);
  finish(outcome::shutting_down);
  EXPECT_EQ(count(counter::raw_dropped_storage), 3u);
}

TEST_F(raw_listener_test, a_stream_made_anew_is_found_again) {
  listen("127.0.0.1:5514=logs");
  receive("a");
  submitted();
  sink_.exists = false;
  finish(outcome::stream_not_found);
  EXPECT_EQ(count(counter::raw_dropped_storage), 1u);
  receive("b");
  receive("c");
  EXPECT_EQ(count(counter::raw_dropped_storage), 3u);
  EXPECT_EQ(sink_.lookups, 2) << "at most one a second";
  sink_.exists = true;
  sink_.id = 2;
  now_ += 1'000'000;
  receive("d");
  EXPECT_EQ(submitted(), strings{"192.0.2.9>d"});
  EXPECT_EQ(sink_.waiting.front()->stream, stream_id(2));
}

TEST_F(raw_listener_test, a_missing_stream_is_an_error_at_start) {
  filler_.emplace(sink_, batch_filler_options{}, counters_, nullptr);
  auto made = raw_listener::create(*parse_raw_listener("127.0.0.1:1=none"), 1, memory_, sink_,
                                   *filler_, counters_);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.failure().code(), error_code::not_found);
}

TEST(raw_listener_options, are_read_and_written) {
  for (const char* text :
       {"127.0.0.1:5514=logs", "[::1]:5514=logs,lines", "localhost:1=a.b-c_d,lines,key-field=3",
        "0.0.0.0:65535=s,key-field=1", "127.0.0.1:12201=gelf,key-json=user.id"}) {
    const auto parsed = parse_raw_listener(text);
    ASSERT_TRUE(parsed.ok()) << parsed.failure().message();
    EXPECT_EQ(to_string(*parsed), text);
  }
  EXPECT_EQ(parse_raw_listener("[::1]:5514=logs")->host, "::1");
}

TEST(raw_listener_options, errors_name_what_is_wrong) {
  struct {
    const char *text, *says;
  } const cases[] = {{"127.0.0.1:5514", "no '=STREAM'"},
                     {"127.0.0.1=logs", "no port"},
                     {"127.0.0.1:0=logs", "port '0'"},
                     {"127.0.0.1:65536=logs", "port '65536'"},
                     {"127.0.0.1:x=logs", "port 'x'"},
                     {":5514=logs", "no host"},
                     {"::1:5514=logs", "in brackets"},
                     {"127.0.0.1:5514=", "no stream"},
                     {"127.0.0.1:5514=logs,line", "unknown option 'line'"},
                     {"127.0.0.1:5514=logs,", "unknown option ''"},
                     {"127.0.0.1:5514=logs,key-field=0", "key-field '0'"},
                     {"127.0.0.1:5514=logs,key-json=", "names no field"},
                     {"127.0.0.1:5514=logs,key-field=1,key-json=a", "more than one key"}};
  for (const auto& [text, says] : cases) {
    const auto parsed = parse_raw_listener(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.failure().message().find(says), std::string::npos)
        << parsed.failure().message();
  }
}

}  // namespace
}  // namespace millrace
