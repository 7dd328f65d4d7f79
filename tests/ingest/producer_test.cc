/// The producer's parts alone: what is lost and what is late, how much may be under way, how large
/// datagrams may be, what the buffer holds.
#include <thread>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/record_format.h"
#include "ingest/producer_buffer.h"
#include "ingest/producer_pacer.h"
#include "ingest/producer_path.h"
#include "ingest/producer_results.h"
#include "ingest/producer_window.h"

namespace millrace {
namespace {

byte_view bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// --- resend_queue and sent_window ----------------------------------------------------------------

TEST(resend_queue, keeps_ranges_in_order_and_joins_neighbours) {
  resend_queue queue;
  queue.add({.first = 20, .count = 5});
  queue.add({.first = 10, .count = 5});
  queue.add({.first = 15, .count = 5});
  ASSERT_EQ(queue.ranges().size(), 1u);
  EXPECT_EQ(queue.front(), (sent_range{.first = 10, .count = 15}));
  queue.take(4);
  queue.trim_below(16);
  EXPECT_EQ(queue.front(), (sent_range{.first = 16, .count = 9}));
}

TEST(resend_queue, keeps_pieces_of_a_large_record_apart_from_whole_records) {
  resend_queue queue;
  queue.add({.first = 7, .count = 0, .offset = 800, .bytes = 100});
  queue.add({.first = 6, .count = 1});
  queue.add({.first = 7, .count = 0, .offset = 0, .bytes = 800});
  ASSERT_EQ(queue.ranges().size(), 2u);
  queue.take(1);
  EXPECT_EQ(queue.front(), (sent_range{.first = 7, .count = 0, .offset = 0, .bytes = 900}));
  queue.take(100);
  EXPECT_EQ(queue.front(), (sent_range{.first = 7, .count = 0, .offset = 100, .bytes = 800}));
  queue.trim_below(8);
  EXPECT_TRUE(queue.empty());
}

class window_test : public testing::Test {
 protected:
  void send(std::uint64_t packets, std::uint64_t records_each = 10) {
    for (std::uint64_t i = 0; i < packets; ++i, record_ += records_each)
      window_.sent({.first = record_, .count = static_cast<std::uint32_t>(records_each)}, 1'000,
                   now_);
  }
  wire::ack_payload ack(std::uint64_t largest, std::initializer_list<std::uint64_t> missing,
                        std::uint64_t received) const {
    wire::ack_payload made{};
    made.largest_packet = largest;
    made.received_record = received;
    made.echo_time_us = static_cast<std::uint32_t>(now_ - 200);
    for (std::uint64_t number = 1; number <= largest; ++number) {
      const std::uint64_t bit = largest - number;
      if (std::find(missing.begin(), missing.end(), number) == missing.end()) {
        made.packets[bit / 64] |= std::uint64_t{1} << (bit % 64);
      }
    }
    return made;
  }

  sent_window window_;
  resend_queue again_;
  std::uint64_t now_ = 1'000'000;
  std::uint64_t record_ = 0;
};

TEST_F(window_test, a_packet_that_many_later_ones_overtook_is_lost) {
  send(20);
  now_ += 300;
  const window_news news = window_.on_ack(ack(20, {3}, 20), now_, again_);
  EXPECT_EQ(news.acked_bytes, 19'000u);
  EXPECT_EQ(news.lost_packets, 1u);
  EXPECT_EQ(news.rtt_us, 200u);
  EXPECT_EQ(again_.front(), (sent_range{.first = 20, .count = 10}));
  EXPECT_EQ(window_.bytes_in_flight(), 0u);
}

TEST_F(window_test, a_packet_just_overtaken_gets_a_little_time) {
  send(3);
  now_ += 300;
  EXPECT_EQ(window_.on_ack(ack(3, {2}, 10), now_, again_).lost_packets, 0u);
  EXPECT_TRUE(again_.empty());
  const std::uint64_t deadline = window_.loss_deadline_us();
  ASSERT_LT(deadline, now_ + 10'000);
  EXPECT_EQ(window_.on_time(deadline - 1, again_).lost_packets, 0u);
  EXPECT_EQ(window_.on_time(deadline, again_).lost_packets, 1u);
  EXPECT_FALSE(again_.empty());
}

TEST_F(window_test, a_packet_wrongly_called_lost_makes_it_more_patient) {
  send(40);
  now_ += 300;
  EXPECT_EQ(window_.on_ack(ack(10, {1}, 0), now_, again_).lost_packets, 1u);
  window_.on_ack(ack(10, {}, 100), now_, again_);  // it had only been late
  EXPECT_EQ(window_.on_ack(ack(20, {11}, 110), now_, again_).lost_packets, 0u);
}

TEST_F(window_test, an_ack_of_a_packet_never_sent_is_ignored) {
  send(2);
  const window_news news = window_.on_ack(ack(900, {}, 20), now_, again_);
  EXPECT_EQ(news.acked_bytes, 0u);
  EXPECT_EQ(window_.packets_in_flight(), 2u);
}

TEST_F(window_test, what_is_received_in_order_needs_no_bit) {
  send(3);
  wire::ack_payload bare = ack(1, {}, 30);
  window_.on_ack(bare, now_, again_);
  EXPECT_EQ(window_.packets_in_flight(), 0u);
}

TEST_F(window_test, a_nak_asks_again_only_for_what_is_not_on_its_way) {
  send(4);
  now_ += 1'000;
  window_.on_ack(ack(1, {}, 10), now_, again_);  // a round trip is known now
  send(1);                                       // packet 5: records 40 to 49, just sent
  const window_news news =
      window_.on_nak({.first_record = 10, .last_record = 49}, 50, now_, again_);
  EXPECT_EQ(news.lost_packets, 3u);
  ASSERT_EQ(again_.ranges().size(), 1u);
  EXPECT_EQ(again_.front(), (sent_range{.first = 10, .count = 30}));
  EXPECT_EQ(window_.packets_in_flight(), 1u);
}

TEST_F(window_test, a_nak_of_what_the_server_had_and_dropped_sends_it_again) {
  send(2);
  now_ += 300;
  window_.on_ack(ack(2, {}, 0), now_, again_);
  window_.on_nak({.first_record = 5, .last_record = 1'000}, 20, now_, again_);
  ASSERT_EQ(again_.ranges().size(), 1u);
  EXPECT_EQ(again_.front(), (sent_range{.first = 5, .count = 15}));
}

TEST_F(window_test, the_window_ends_where_the_servers_bitmap_would) {
  while (!window_.is_full())
    send(1);
  EXPECT_LT(window_.packets_in_flight(), wire::replay_window_packets);
  EXPECT_GT(window_.packets_in_flight(), wire::replay_window_packets - 128);
}

// --- producer_pacer ------------------------------------------------------------------------------

TEST(producer_pacer, one_burst_of_losses_shrinks_the_window_once_and_never_to_nothing) {
  producer_pacer pacer;
  pacer.restart();
  const round_trip trip;
  const std::uint64_t before = pacer.window_bytes();
  for (std::uint64_t lost = 1; lost <= 10; ++lost)
    pacer.on_news({.lost_bytes = 1, .lost_number = lost, .lost_packets = 1}, 10, lost, true);
  const std::uint64_t once = pacer.window_bytes();
  EXPECT_LT(once, before + 1);
  for (std::uint64_t lost = 100; lost < 200; ++lost)
    pacer.on_news({.lost_bytes = 1, .lost_number = lost, .lost_packets = 1}, lost, lost, true);
  EXPECT_GE(pacer.window_bytes(), std::uint64_t{2} * limits::datagram_bytes_max);
  EXPECT_GE(pacer.allowance(0, trip, 1), limits::datagram_bytes_max);
}

TEST(producer_pacer, grows_while_the_window_is_what_limits) {
  producer_pacer pacer;
  pacer.restart();
  const std::uint64_t first = pacer.window_bytes();
  pacer.on_news({.acked_bytes = 1'000}, 5, 4, /*was_limited=*/false);
  EXPECT_EQ(pacer.window_bytes(), first);
  pacer.on_news({.acked_bytes = 1'000}, 5, 4, /*was_limited=*/true);
  EXPECT_EQ(pacer.window_bytes(), first + 1'000);
}

TEST(producer_pacer, spreads_a_window_over_a_long_round_trip) {
  producer_pacer pacer;
  pacer.restart();
  round_trip trip;
  trip.sample(50'000);
  std::uint64_t now_us = 1'000'000;
  for (int i = 0; i < 40; ++i)
    pacer.on_news({.acked_bytes = 1 << 20}, 5, 4, true);
  const std::uint64_t burst = pacer.allowance(0, trip, now_us);
  EXPECT_LT(burst, pacer.window_bytes());
  pacer.sent(burst + 1'000'000);
  EXPECT_EQ(pacer.allowance(burst, trip, now_us), 0u);
  ASSERT_NE(pacer.deadline_us(), UINT64_MAX);
  EXPECT_GT(pacer.allowance(burst, trip, pacer.deadline_us()), 0u);
}

// --- path_search ---------------------------------------------------------------------------------

TEST(path_search, tries_every_size_and_uses_the_largest_that_arrived) {
  path_search path;
  path.restart(limits::datagram_bytes_max, 0);
  EXPECT_EQ(path.datagram_bytes(), limits::datagram_bytes_min);
  std::vector<std::uint32_t> tried;
  while (const std::uint32_t bytes = path.take_probe(0))
    tried.push_back(bytes);
  EXPECT_EQ(tried, (std::vector<std::uint32_t>{1'472, 4'096, 8'972, 16'384, 32'768, 65'507}));
  path.on_probe_ack(8'972);
  path.on_probe_ack(1'472);
  EXPECT_EQ(path.datagram_bytes(), 8'972u);
  EXPECT_EQ(path.take_probe(1), 0u);
  EXPECT_EQ(path.take_probe(path.deadline_us()), 16'384u);
}

TEST(path_search, asks_for_no_more_than_both_ends_can_take) {
  path_search path;
  path.restart(5'000, 0);
  std::vector<std::uint32_t> tried;
  while (const std::uint32_t bytes = path.take_probe(0))
    tried.push_back(bytes);
  EXPECT_EQ(tried, (std::vector<std::uint32_t>{1'472, 4'096, 5'000}));
  path.on_probe_ack(60'000);  // never asked for
  EXPECT_EQ(path.datagram_bytes(), limits::datagram_bytes_min);
  path.on_probe_ack(5'000);
  EXPECT_EQ(path.deadline_us(), UINT64_MAX);
}

TEST(path_search, falls_back_when_only_large_datagrams_vanish) {
  path_search path;
  path.restart(limits::datagram_bytes_max, 0);
  path.take_probe(0);
  path.on_probe_ack(8'972);
  EXPECT_FALSE(path.on_news({.lost_packets = 7, .lost_size_min = 8'000}, 1));
  EXPECT_FALSE(path.on_news({.lost_packets = 1, .lost_size_min = 8'000}, 300'000));
  EXPECT_TRUE(path.on_news({.lost_packets = 1, .lost_size_min = 8'000}, 300'001));
  EXPECT_EQ(path.datagram_bytes(), limits::datagram_bytes_min);
  // It may have been wrong: a second later it tries again.
  EXPECT_LE(path.deadline_us(), 1'300'001u);
}

TEST(path_search, takes_an_overrun_server_for_no_limit_of_the_path) {
  path_search path;
  path.restart(limits::datagram_bytes_max, 0);
  path.take_probe(0);
  path.on_probe_ack(8'972);
  for (std::uint64_t now_us = 1; now_us < 2'000'000; now_us += 100'000) {
    // A whole flight at once, over and over; then one arrives.
    EXPECT_FALSE(path.on_news({.lost_packets = 100, .lost_size_min = 8'000}, now_us));
    EXPECT_FALSE(path.on_news({.lost_packets = 100, .lost_size_min = 8'000}, now_us + 1));
    EXPECT_FALSE(path.on_news({.acked_bytes = 1, .acked_size_max = 8'900}, now_us + 2));
  }
  EXPECT_EQ(path.datagram_bytes(), 8'972u);
}

// --- producer_results ----------------------------------------------------------------------------

std::vector<std::byte> results_of(std::uint16_t count, std::uint32_t shard) {
  std::vector<std::byte> made(8 + 16 + count * 6u);
  store(made.data(),
        wire::results_payload{.arrival_s = 77, .record_count = count, .shard_count = 1});
  store(made.data() + 8, wire::result_shard{.base_index = 1'000, .shard = shard, .created_s = 5});
  for (std::uint32_t i = 0; i < count; ++i)
    store(made.data() + 24 + 4 * i, i);
  return made;
}

TEST(producer_results, come_out_in_record_order_whatever_order_they_came_in) {
  std::vector<std::uint64_t> seen;
  producer_results results([&](std::uint64_t record, const result_place& place) {
    EXPECT_TRUE(place.is_known);
    EXPECT_EQ(place.arrival_s, 77u);
    EXPECT_EQ(place.index.value, 1'000 + record % 4);
    EXPECT_EQ(place.shard.value, record / 4);
    seen.push_back(record);
  });
  EXPECT_TRUE(results.add(8, results_of(4, 2)));
  EXPECT_TRUE(results.add(4, results_of(4, 1)));
  EXPECT_TRUE(seen.empty());
  EXPECT_TRUE(results.add(0, results_of(4, 0)));
  EXPECT_TRUE(results.add(0, results_of(4, 0)));
  ASSERT_EQ(seen.size(), 12u);
  for (std::uint64_t i = 0; i < 12; ++i)
    EXPECT_EQ(seen[i], i);
}

TEST(producer_results, a_payload_whose_counts_do_not_fit_is_refused) {
  producer_results results([](std::uint64_t, const result_place&) { FAIL(); });
  std::vector<std::byte> made = results_of(4, 0);
  made.pop_back();
  EXPECT_FALSE(results.add(0, made));
}

TEST(producer_results, without_shards_the_places_are_unknown) {
  int seen = 0;
  producer_results results([&](std::uint64_t, const result_place& place) {
    EXPECT_FALSE(place.is_known);
    ++seen;
  });
  std::vector<std::byte> made(8);
  store(made.data(), wire::results_payload{.arrival_s = 0, .record_count = 3, .shard_count = 0});
  EXPECT_TRUE(results.add(0, made));
  EXPECT_EQ(seen, 3);
}

// --- producer_buffer -----------------------------------------------------------------------------

TEST(producer_buffer, records_that_wrap_around_the_ring_stay_whole) {
  waker wake;
  auto buffer = *producer_buffer::create(8'192, wake);
  buffer->start_at(1'000);
  const std::string data(100, 'x');
  for (std::uint64_t i = 1'000; i < 3'000; ++i) {
    ASSERT_EQ(buffer->append("key", bytes_of(std::to_string(i) + data), nullptr)->value, i);
    const byte_view bytes = buffer->bytes(i, i + 1);
    ASSERT_EQ(check_record(bytes), record_fault::none);
    const byte_view got = record_view(bytes.data()).data();
    ASSERT_EQ(std::string(reinterpret_cast<const char*>(got.data()), got.size()),
              std::to_string(i) + data);
    if (i >= 1'020) {
      buffer->free_below(i - 20);
      buffer->forget_below(i - 20);
    }
  }
}

TEST(producer_buffer, counts_what_fits_a_datagram) {
  waker wake;
  auto buffer = *producer_buffer::create(64 * 1024, wake);
  buffer->start_at(0);
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(buffer->append("k", bytes_of(std::string(7, 'd')), nullptr).ok());  // 16 bytes each
  EXPECT_EQ(buffer->count_within(0, 100, 160), 10u);
  EXPECT_EQ(buffer->count_within(0, 100, 159), 9u);
  EXPECT_EQ(buffer->count_within(95, 100, 1'000), 5u);
  EXPECT_EQ(buffer->count_within(0, 100, 15), 0u);
}

TEST(producer_buffer, a_full_buffer_makes_senders_wait_until_there_is_room) {
  waker wake;
  auto buffer = *producer_buffer::create(4'096, wake);
  buffer->start_at(0);
  const std::string data(1'000, 'x');
  std::atomic<int> appended{0};
  std::thread sender([&] {
    for (int i = 0; i < 8; ++i) {
      ASSERT_TRUE(buffer->append("key", bytes_of(data), nullptr).ok());
      ++appended;
    }
  });
  while (appended < 4)
    std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(appended, 4);
  for (std::uint64_t freed = 1; freed <= 4; ++freed)
    buffer->free_below(freed);
  sender.join();
  EXPECT_EQ(buffer->end(), 8u);
}

TEST(producer_buffer, refusing_wakes_those_who_wait) {
  waker wake;
  auto buffer = *producer_buffer::create(4'096, wake);
  buffer->start_at(0);
  std::thread sender([&] {
    for (;;) {
      const auto given = buffer->append("key", bytes_of(std::string(1'000, 'x')), nullptr);
      if (given.ok()) continue;
      EXPECT_EQ(given.failure().code(), error_code::fenced);
      return;
    }
  });
  while (buffer->end() < 4)
    std::this_thread::yield();
  buffer->refuse({error_code::fenced, "gone"});
  sender.join();
}

TEST(producer_buffer, a_bad_record_is_refused_by_what_is_wrong_with_it) {
  waker wake;
  auto buffer = *producer_buffer::create(64 * 1024, wake);
  buffer->start_at(5);
  const auto empty = buffer->append("", bytes_of("x"), nullptr);
  ASSERT_FALSE(empty.ok());
  EXPECT_NE(empty.failure().message().find("record 5"), std::string::npos);
  EXPECT_NE(empty.failure().message().find("empty partition key"), std::string::npos);
  EXPECT_FALSE(buffer->append(std::string(257, 'k'), bytes_of("x"), nullptr).ok());
  EXPECT_FALSE(buffer->append("k", bytes_of(std::string(70'000, 'x')), nullptr).ok());
  EXPECT_FALSE(buffer->append("k", bytes_of(std::string(11 << 20, 'x')), nullptr).ok());
  EXPECT_EQ(buffer->end(), 5u);
}

}  // namespace
}  // namespace millrace
