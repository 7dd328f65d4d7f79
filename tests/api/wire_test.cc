#include <array>
#include <string>

#include <gtest/gtest.h>

#include "api/put_request.h"
#include "api/wire_value.h"
#include "api/wire_writer.h"
#include "base/base64.h"
#include "base/record_format.h"

namespace millrace {
namespace {

byte_view bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// A body with the room behind it that decoders want.
class put_test : public testing::Test {
 protected:
  kinesis_outcome decode(wire_encoding encoding, bool many, std::string_view text) {
    body_.assign(text.size() + 64, '\0');
    std::copy(text.begin(), text.end(), body_.begin());
    return decode_put(encoding, many, {reinterpret_cast<std::byte*>(body_.data()), text.size()},
                      request_);
  }
  std::string key(std::size_t i) const { return std::string(request_.records[i].view().key()); }
  std::string data(std::size_t i) const {
    const byte_view found = request_.records[i].view().data();
    return {reinterpret_cast<const char*>(found.data()), found.size()};
  }

  std::string body_;
  put_request request_;
};

TEST_F(put_test, records_written_over_their_text_are_whole) {
  std::string text = R"({"StreamName":"s","Records":[)";
  std::vector<std::string> wanted;
  for (std::size_t i = 0; i < 300; ++i) {
    wanted.push_back(std::string(i % 97, static_cast<char>('a' + i % 26)));
    std::string encoded((wanted.back().size() + 2) / 3 * 4, ' ');
    encode_base64(bytes_of(wanted.back()), encoded.data());
    if (i > 0) text += ',';
    // Both orders: the data's text before the key, and behind it.
    const std::string name = "key" + std::to_string(i);
    text += i % 2 == 0 ? R"({"Data":")" + encoded + R"(","PartitionKey":")" + name + "\"}"
                       : R"({"PartitionKey":")" + name + R"(","ExplicitHashKey":"7","Data":")" +
                             encoded + "\"}";
  }
  text += "]}";
  const auto failure = decode(wire_encoding::json, true, text);
  ASSERT_FALSE(failure) << failure->message;
  ASSERT_EQ(request_.records.size(), wanted.size());
  EXPECT_EQ(request_.text("StreamName"), "s");
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(data(i), wanted[i]);
    EXPECT_EQ(key(i), "key" + std::to_string(i));
    EXPECT_EQ(request_.records[i].view().has_hash_key(), i % 2 == 1);
    EXPECT_EQ(check_record({request_.records[i].bytes, request_.records[i].stride}),
              record_fault::none);
  }
}

TEST_F(put_test, the_shortest_records_fit_over_their_text) {
  ASSERT_FALSE(decode(wire_encoding::json, true,
                      R"({"Records":[{"Data":"","PartitionKey":"a","ExplicitHashKey":"0"},)"
                      R"({"Data":"","PartitionKey":"b"}],"StreamName":"s"})"));
  EXPECT_EQ(key(0) + key(1), "ab");
  // {"Records": [_ {"Data": h'', "PartitionKey": "a", "ExplicitHashKey": "0"}], "StreamName": "s"}
  const std::string cbor = std::string(
      "\xa2\x67Records\x9f\xa3\x64"
      "Data\x40\x6cPartitionKey\x61"
      "a\x6f"
      "ExplicitHashKey\x61"
      "0\xff\x6aStreamName\x61s");
  const auto failure = decode(wire_encoding::cbor, true, cbor);
  ASSERT_FALSE(failure) << failure->message;
  EXPECT_EQ(key(0), "a");
  EXPECT_EQ(data(0), "");
  EXPECT_TRUE(request_.records[0].view().has_hash_key());
}

TEST_F(put_test, cbor_as_jackson_writes_it_is_read) {
  // Indefinite map and list, a byte string in pieces, an unknown member.
  const std::string cbor = std::string(
      "\xbf\x6aStreamName\x66orders\x67Records\x9f\xbf\x64"
      "Data\x5f\x42hi\x43 \x00!\xff\x6cPartitionKey\x61k\x65Other\x82\x01\x02\xff\xff\xff",
      70);
  const auto failure = decode(wire_encoding::cbor, true, cbor);
  ASSERT_FALSE(failure) << failure->message;
  EXPECT_EQ(data(0), std::string("hi \0!", 5));
  EXPECT_EQ(request_.text("StreamName"), "orders");
}

TEST_F(put_test, every_cut_of_a_request_is_refused) {
  const std::string json = R"({"StreamName":"s","Records":[{"Data":"aGk=","PartitionKey":"k"}]})";
  for (std::size_t n = 0; n < json.size(); ++n)
    EXPECT_TRUE(decode(wire_encoding::json, true, json.substr(0, n))) << n;
  const std::string cbor(
      "\xa2\x6aStreamName\x61s\x67Records\x81\xa2\x64"
      "Data\x42hi\x6cPartitionKey\x61k");
  ASSERT_FALSE(decode(wire_encoding::cbor, true, cbor));
  for (std::size_t n = 0; n < cbor.size(); ++n)
    EXPECT_TRUE(decode(wire_encoding::cbor, true, cbor.substr(0, n))) << n;
}

TEST_F(put_test, wrong_types_come_before_violated_constraints) {
  const auto type = decode(wire_encoding::json, true,
                           R"({"StreamName":5,"Records":[{"Data":"aGk=","PartitionKey":""}]})");
  ASSERT_TRUE(type);
  EXPECT_EQ(type->name, "SerializationException");
  const auto both =
      decode(wire_encoding::json, true, R"({"StreamName":"","Records":[{"PartitionKey":""}]})");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->name, "ValidationException");
  EXPECT_TRUE(both->message.starts_with("4 validation errors detected: ")) << both->message;
}

TEST(cbor, nesting_lengths_and_pieces_are_bounded) {
  EXPECT_FALSE(parse_cbor(bytes_of(std::string(100'000, '\x81'))).ok());
  EXPECT_FALSE(parse_cbor(bytes_of(std::string(100'000, '\xc1'))).ok());
  EXPECT_FALSE(parse_cbor(bytes_of("\x9b\xff\xff\xff\xff\xff\xff\xff\xff")).ok());
  EXPECT_FALSE(parse_cbor(bytes_of("\x5b\x7f\xff\xff\xff\xff\xff\xff\xff")).ok());
  EXPECT_FALSE(parse_cbor(bytes_of("\xff")).ok());
  EXPECT_FALSE(parse_cbor(bytes_of("")).ok());
  // Tag 1 with milliseconds in eight bytes, as the Java SDK writes times.
  const auto time = parse_cbor(bytes_of({"\xc1\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x00", 10}));
  ASSERT_TRUE(time.ok());
  EXPECT_EQ(time->integer, 1'700'000'000'000);
}

TEST(wire_writer, writes_what_the_readers_read) {
  for (const wire_encoding encoding : {wire_encoding::json, wire_encoding::cbor}) {
    wire_writer out(encoding);
    out.begin_map();
    out.text("Text", "a \"quoted\" \xd0\xb6");
    out.integer("Number", -300);
    out.boolean("Flag", true);
    out.name("List");
    out.begin_list();
    out.integer(1);
    out.begin_map();
    out.end_map();
    out.end_list();
    out.time("Time", 1'700'000'000'123'456);
    out.end_map();
    std::string text = out.take();
    const std::size_t size = text.size();
    text.append(64, '\0');
    const auto read = encoding == wire_encoding::json
                          ? parse_json(std::string_view(text).substr(0, size))
                          : parse_cbor(bytes_of(text).first(size));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read->find("Text")->text, "a \"quoted\" \xd0\xb6");
    EXPECT_EQ(read->find("Number")->integer, -300);
    EXPECT_TRUE(read->find("Flag")->boolean);
    EXPECT_EQ(read->find("List")->items.size(), 2u);
    EXPECT_DOUBLE_EQ(read->find("Time")->real,
                     encoding == wire_encoding::json ? 1'700'000'000.123 : 1'700'000'000'123.0);
  }
}

TEST(json, a_tree_has_bounded_depth) {
  std::string deep = std::string(1000, '[') + std::string(1000, ']');
  const std::size_t size = deep.size();
  deep.append(64, '\0');
  EXPECT_FALSE(parse_json(std::string_view(deep).substr(0, size)).ok());
}

}  // namespace
}  // namespace millrace
