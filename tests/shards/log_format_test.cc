#include "shards/log_format.h"

#include <sstream>

#include <gtest/gtest.h>

#include "shards/block_builder.h"
#include "shards/block_reader.h"
#include "tests/shards/batch_builder.h"

namespace millrace {
namespace {

using namespace log_format;

/// The worked example of docs/log_format.md.
constexpr const char* example =
    "4d 42 4b 31 01 00 01 00 00 10 00 00 03 00 00 00 02 00 00 00 01 00 00 00 30 00 00 00 00 00 00 "
    "00 "
    "ed 5e 00 00 00 00 00 00 02 00 00 00 00 00 00 00 00 30 00 00 00 00 00 00 00 20 00 00 00 00 00 "
    "00 "
    "00 21 14 1e 24 0a 06 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
    "00 "
    "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 da 51 19 "
    "d8 "
    "05 00 00 00 00 00 00 00 00 00 00 00 00 f1 53 65 02 00 00 00 20 00 00 00 f4 7f 5b 15 00 00 00 "
    "00 "
    "09 00 00 00 00 00 00 00 01 00 00 00 00 f1 53 65 01 00 00 00 10 00 00 00 eb f0 31 52 00 00 00 "
    "00 "
    "0b 00 00 00 01 00 00 00 61 68 69 00 00 00 00 00 0a 00 00 00 01 00 00 00 61 21 00 00 00 00 00 "
    "00 "
    "0c 00 00 00 01 00 00 00 62 79 6f 75 00 00 00 00 00 01 00 00 00 00 00 00 18 17 16 15 14 13 12 "
    "11 "
    "08 07 06 05 04 03 02 01 28 00 00 00 00 00 00 00 03 00 00 00 03 00 00 00 4d 42 43 31 d7 24 53 "
    "69 "
    "02 00 00 00 00 00 00 00";

std::vector<std::byte> build_example() {
  built_batch one;
  one.records_entry(producer_id(make_uint128(0x0102030405060708, 0x1112131415161718)),
                    epoch_number(3), record_number(40));
  one.record(shard_index(0), "a", "hi");
  one.record(shard_index(1), "b", "you");
  one.record(shard_index(0), "a", "!");
  one.route(1'700'000'000);
  one.batch().arrival_us = 1'700'000'100'000'000;
  one.batch().runs[0].first = record_index(5);
  one.batch().runs[1].first = record_index(9);
  const block_layout layout = plan_block(one.batch());
  std::vector<std::byte> block(layout.block_bytes, std::byte{0xff});
  build_block(one.batch(), one.order(), layout, block.data());
  seal_block({0x5eed, 2, 12288, 8192}, block.data());
  return block;
}

TEST(log_format, the_worked_example_of_the_document_is_what_is_written) {
  std::vector<std::byte> wanted;
  std::istringstream text(example);
  for (unsigned byte = 0; text >> std::hex >> byte;)
    wanted.push_back(static_cast<std::byte>(byte));
  wanted.resize(4096);
  EXPECT_EQ(build_example(), wanted);
}

TEST(log_format, what_was_written_is_read_back) {
  const std::vector<std::byte> block = build_example();
  const auto header = parse_block_header(block);
  ASSERT_TRUE(header.has_value());
  const block_layout layout = layout_of(header->run_count, header->payload_bytes,
                                        header->record_count, header->entry_count);
  block_meta meta;
  const char* why = "";
  ASSERT_TRUE(parse_block_meta(*header, byte_view(block).first(layout.runs),
                               byte_view(block).subspan(layout.order), meta, why))
      << why;
  EXPECT_EQ(meta.runs.size(), 2u);
  EXPECT_EQ(meta.run_of(1), 1u);
  EXPECT_EQ(meta.entries[0].first_record, 40u);
}

TEST(log_format, the_order_column_gets_a_second_byte_beyond_256_runs) {
  EXPECT_EQ(order_width(256), 1);
  EXPECT_EQ(order_width(257), 2);
  built_batch one;
  one.raw_entry();
  for (std::uint32_t i = 0; i < 300; ++i)
    one.record(shard_index(i), "k", "x");
  one.route();
  const block_layout layout = plan_block(one.batch());
  std::vector<std::byte> block(layout.block_bytes);
  build_block(one.batch(), one.order(), layout, block.data());
  seal_block({1, 0, 8192, 8192}, block.data());
  const auto header = parse_block_header(block);
  ASSERT_TRUE(header.has_value());
  block_meta meta;
  const char* why = "";
  ASSERT_TRUE(parse_block_meta(*header, byte_view(block).first(layout.runs),
                               byte_view(block).subspan(layout.order), meta, why));
  EXPECT_EQ(meta.run_of(299), 299u);
}

}  // namespace
}  // namespace millrace
