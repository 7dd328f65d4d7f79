#include "ingest/wire_codec.h"

#include <charconv>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ingest/cookie.h"
#include "ingest/packet_window.h"
#include "ingest/reassembly.h"
#include "ingest/session.h"

namespace millrace {
namespace {

std::string hex(byte_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte one : bytes) {
    text += digits[static_cast<unsigned>(one) >> 4];
    text += digits[static_cast<unsigned>(one) & 15];
  }
  return text;
}

std::vector<std::byte> unhex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    std::uint8_t value = 0;
    std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    bytes.push_back(std::byte{value});
  }
  return bytes;
}

/// The worked example of docs/wire_format.md: one DATA datagram with one record.
std::vector<std::byte> example(const aead_key* key, std::uint32_t key_id, aead_engine* engine) {
  std::vector<std::byte> bytes(200);
  const std::string_view words = "hello";
  const auto stride = write_record(bytes.data() + sizeof(wire::datagram_header), "user-1",
                                   std::as_bytes(std::span(words)), nullptr);
  wire::datagram_header header{};
  header.type = static_cast<std::uint8_t>(wire::datagram_type::data);
  header.flags = wire::ack_now;
  header.record_count = 1;
  header.session = 0x1122334455667788u;
  header.session_slot = 0x01000005;
  header.key_id = key_id;
  header.packet_number = 42;
  header.first_record = 7;
  header.payload_bytes = stride;
  header.send_time_us = 1'000'000;
  bytes.resize(wire::seal_datagram(bytes.data(), header, key, engine));
  return bytes;
}

TEST(wire_codec, the_worked_example_of_the_document_has_these_bytes) {
  EXPECT_EQ(hex(example(nullptr, 0, nullptr)),
            "4d4c52310502010088776655443322110500000100000000"
            "2a0000000000000007000000000000001800000040420f00"
            "1300000006000000757365722d3168656c6c6f0000000000"
            "f7c7657d");
}

TEST(wire_codec, the_keyed_example_of_the_document_has_these_bytes) {
  shared_key shared{.key_id = 9, .secret = {}};
  for (std::uint8_t i = 0; i < 16; ++i)
    shared.secret[i] = i;
  const session_keys keys = derive_session_keys(shared, 0x1122334455667788u, 0x0102030405060708u);
  aead_engine engine;
  EXPECT_EQ(hex(std::as_bytes(std::span(keys.to_server.key))), "26ed14b7f3f942c6b31a6f4aa1deb674");
  EXPECT_EQ(hex(std::as_bytes(std::span(keys.to_server.salt))), "e6da0dd8");
  const auto bytes = example(&keys.to_server, 9, &engine);
  EXPECT_EQ(hex(byte_view(bytes).subspan(48)),
            "119e68842840d5d5a99122fd9bc4956a2d91e39cf4d34a8f76e431199c1310953324d187a0e0538a");
}

TEST(wire_codec, what_is_sealed_is_parsed_again_and_any_damage_is_noticed) {
  auto bytes = example(nullptr, 0, nullptr);
  wire::datagram from;
  ASSERT_EQ(wire::parse_datagram(bytes, from), wire::datagram_fault::none);
  EXPECT_EQ(wire::verify_plain(from), wire::datagram_fault::none);
  EXPECT_EQ(from.header.first_record, 7u);
  std::vector<record_ref> refs(wire::data_records_max);
  const auto split = wire::split_records(from.payload, from.header.record_count, refs);
  EXPECT_EQ(split.fault, record_fault::none);
  EXPECT_EQ(refs[0].view().key(), "user-1");
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto bad = bytes;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    const bool is_noticed = wire::parse_datagram(bad, from) != wire::datagram_fault::none ||
                            wire::verify_plain(from) != wire::datagram_fault::none;
    EXPECT_TRUE(is_noticed) << "bit " << bit;
  }
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_NE(wire::parse_datagram(mutable_byte_view(bytes).first(length), from),
              wire::datagram_fault::none);
  }
}

TEST(wire_codec, flags_and_counts_belong_to_their_types) {
  std::vector<std::byte> bytes(300);
  wire::datagram from;
  wire::datagram_header header{};
  header.type = static_cast<std::uint8_t>(wire::datagram_type::heartbeat);
  header.flags = wire::wants_results;
  auto size =
      wire::seal_datagram(bytes.data(), header, wire::heartbeat_payload{}, nullptr, nullptr);
  EXPECT_EQ(wire::parse_datagram(mutable_byte_view(bytes).first(size), from),
            wire::datagram_fault::bad_flags);
  header.flags = 0;
  header.record_count = 1;
  size = wire::seal_datagram(bytes.data(), header, wire::heartbeat_payload{}, nullptr, nullptr);
  EXPECT_EQ(wire::parse_datagram(mutable_byte_view(bytes).first(size), from),
            wire::datagram_fault::bad_length);
  header.record_count = 0;
  size = wire::seal_datagram(bytes.data(), header, wire::heartbeat_payload{}, nullptr, nullptr, 8);
  EXPECT_EQ(wire::parse_datagram(mutable_byte_view(bytes).first(size), from),
            wire::datagram_fault::bad_length);
  header.type = 15;
  size = wire::seal_datagram(bytes.data(), header, wire::heartbeat_payload{}, nullptr, nullptr);
  EXPECT_EQ(wire::parse_datagram(mutable_byte_view(bytes).first(size), from),
            wire::datagram_fault::bad_type);
}

std::vector<std::byte> records_of(const std::vector<std::string>& keys) {
  std::vector<std::byte> payload;
  const uint128 hash = make_uint128(1, 2);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const bool has_hash = i % 3 == 2;
    std::vector<std::byte> one(record_stride(keys[i].size(), i, has_hash));
    write_record(one.data(), keys[i], std::vector<std::byte>(i), has_hash ? &hash : nullptr);
    payload.insert(payload.end(), one.begin(), one.end());
  }
  return payload;
}

TEST(wire_codec, keys_of_every_length_are_judged_as_check_record_does) {
  std::vector<record_ref> refs(wire::data_records_max);
  for (std::size_t length = 0; length <= 300; ++length) {
    for (const std::string& key :
         {std::string(length, 'k'), std::string(length, 'k') + "\xc3\xa9",
          std::string(length, 'k') + "\xff", "\x80" + std::string(length, 'k')}) {
      if (key.empty()) continue;
      for (const auto& keys : {std::vector{key}, std::vector<std::string>{"a", "b", key, "c"}}) {
        const auto payload = records_of(keys);
        const auto split =
            wire::split_records(payload, static_cast<std::uint32_t>(keys.size()), refs);
        EXPECT_EQ(split.fault, check_partition_key(key)) << key;
        if (split.fault == record_fault::none) {
          EXPECT_EQ(split.records, keys.size());
          EXPECT_EQ(split.record_bytes, payload.size());
        }
      }
    }
  }
}

TEST(wire_codec, a_payload_must_hold_exactly_its_records) {
  std::vector<record_ref> refs(wire::data_records_max);
  const auto payload = records_of({"a", "b", "c"});
  EXPECT_EQ(wire::split_records(payload, 3, refs).fault, record_fault::none);
  EXPECT_EQ(wire::split_records(payload, 2, refs).fault, record_fault::truncated);
  EXPECT_EQ(wire::split_records(payload, 4, refs).fault, record_fault::truncated);
  EXPECT_EQ(wire::split_records(payload, 60'000, refs).fault, record_fault::truncated);
  EXPECT_EQ(wire::split_records(byte_view(payload).first(payload.size() - 8), 3, refs).records, 2u);
}

TEST(aead, hkdf_agrees_with_rfc_5869) {
  std::vector<std::byte> out(32);
  std::string info;
  for (int i = 0xf0; i <= 0xf9; ++i)
    info += static_cast<char>(i);
  hkdf_sha256(std::vector<std::byte>(22, std::byte{0x0b}), unhex("000102030405060708090a0b0c"),
              info, out);
  EXPECT_EQ(hex(out), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

TEST(aead, gcm_agrees_with_its_specification) {
  aead_engine engine;
  std::vector<std::byte> text(16);
  std::array<std::byte, 16> tag;
  engine.seal({}, 0, {}, text, tag.data());
  EXPECT_EQ(hex(text), "0388dace60b6a392f328c2b971b2fe78");
  EXPECT_EQ(hex(tag), "ab6e47d42cec13bdf53a67b21257bddf");
  EXPECT_TRUE(engine.open({}, 0, {}, text, tag.data()));
  EXPECT_EQ(hex(text), std::string(32, '0'));
}

TEST(aead, more_keys_than_schedules_are_kept_apart) {
  aead_engine engine;
  std::vector<aead_key> keys(200);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    fill_random(std::as_writable_bytes(std::span(keys[i].key)));
    fill_random(std::as_writable_bytes(std::span(keys[i].salt)));
  }
  for (int round = 0; round < 3; ++round) {
    for (const aead_key& key : keys) {
      std::vector<std::byte> text(40, std::byte{1});
      std::array<std::byte, 16> tag;
      engine.seal(key, 5, text, text, tag.data());
      const std::vector<std::byte> other(40, std::byte{1});
      EXPECT_TRUE(engine.open(key, 5, other, text, tag.data()));
      EXPECT_EQ(text, other);
    }
  }
}

TEST(cookie, is_good_for_its_client_and_for_ten_seconds) {
  const cookie_maker maker;
  endpoint who;
  who.family = 4;
  who.port = 9;
  const auto cookie = maker.make(who, 77, 100'000'000);
  EXPECT_TRUE(maker.check(cookie, who, 100'000'000));
  EXPECT_TRUE(maker.check(cookie, who, 110'000'000));
  EXPECT_FALSE(maker.check(cookie, who, 111'000'000));
  EXPECT_FALSE(maker.check(cookie, who, 99'000'000)) << "from the future";
  EXPECT_FALSE(cookie_maker().check(cookie, who, 100'000'000)) << "of another process";
  endpoint moved = who;
  moved.port = 10;
  EXPECT_FALSE(maker.check(cookie, moved, 100'000'000));
  for (std::size_t bit = 0; bit < sizeof cookie * 8; ++bit) {
    auto bad = cookie;
    auto bytes = std::as_writable_bytes(std::span(&bad, 1));
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(maker.check(bad, who, 100'000'000));
  }
}

TEST(packet_window, agrees_with_a_set_of_numbers) {
  std::mt19937_64 random(5);
  packet_window window;
  std::set<std::uint64_t> seen;
  std::uint64_t top = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t jump = random() % 50 == 0 ? random() % 3'000 : random() % 4;
    std::uint64_t number = random() % 3 == 0 && top > 1'500 ? top - random() % 1'400 : top + jump;
    const bool is_old = !seen.empty() && *seen.rbegin() >= number + wire::replay_window_packets;
    EXPECT_EQ(window.is_new(number), !is_old && !seen.contains(number));
    if (!window.is_new(number)) continue;
    window.mark(number);
    seen.insert(number);
    top = std::max(top, number);
    if (i % 100 != 0) continue;
    std::uint64_t words[wire::ack_bitmap_words];
    window.describe(words);
    EXPECT_EQ(window.largest(), top);
    for (std::uint64_t back = 0; back < wire::replay_window_packets && back <= top; ++back) {
      const bool bit = (words[back / 64] >> (back % 64) & 1) != 0;
      ASSERT_EQ(bit, seen.contains(top - back)) << "packet " << top - back;
    }
  }
}

TEST(reassembly, overlapping_pieces_in_any_order_make_the_record) {
  auto memory = *arena::create({.bytes = 32 * limits::mib, .try_hugetlb = false});
  auto pool = *reassembly_pool::create(memory, 1);
  std::vector<std::byte> record(100'003);
  for (std::size_t i = 0; i < record.size(); ++i)
    record[i] = static_cast<std::byte>(i * 7);
  std::mt19937_64 random(1);
  for (int round = 0; round < 10; ++round) {
    reassembly* one = pool->acquire();
    ASSERT_NE(one, nullptr);
    EXPECT_EQ(pool->acquire(), nullptr);
    one->begin(1, 100'003, 0);
    while (!one->is_complete()) {
      const auto from = static_cast<std::uint32_t>(random() % 12'501 * 8);
      const auto size = std::min<std::uint32_t>(static_cast<std::uint32_t>(random() % 600 * 8 + 8),
                                                100'003 - from);
      one->add(from, byte_view(record).subspan(from, size), 0);
    }
    EXPECT_EQ(std::memcmp(one->data(), record.data(), record.size()), 0);
    EXPECT_EQ(one->add(8, byte_view(record).subspan(8, 80), 0), reassembly::piece::duplicate);
    pool->discard(one);
  }
}

TEST(session_table, finds_by_slot_and_id_reuses_slots_and_sweeps_the_silent) {
  session_table table(1'000);
  std::vector<session*> all;
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    session* one = table.allocate(std::uint64_t{i} * 1'000'000);
    ASSERT_NE(one, nullptr);
    one->id = session_id(i + 1);
    all.push_back(one);
  }
  EXPECT_EQ(table.allocate(0), nullptr);
  EXPECT_EQ(table.find(17, session_id(18)), all[17]);
  EXPECT_EQ(table.find(17, session_id(19)), nullptr);
  EXPECT_EQ(table.find(5'000'000, session_id(19)), nullptr);
  std::set<std::uint32_t> expired;
  table.sweep(1'000, 1'000'000'000, 500'000'000, [&](session& one) { expired.insert(one.slot); });
  EXPECT_EQ(expired.size(), 501u);
  EXPECT_TRUE(expired.contains(500) && !expired.contains(501));
  table.free(*all[3]);
  EXPECT_EQ(table.at(3), nullptr);
  EXPECT_EQ(table.size(), 999u);
  session* again = table.allocate(0);
  EXPECT_EQ(again->slot, 3u);
  EXPECT_EQ(again->id.value, 0u);
}

}  // namespace
}  // namespace millrace
