/// The client's side of PutRecords: the text of requests, and what answers come to.
#include "api/put_client.h"

#include <gtest/gtest.h>

#include "api/put_request.h"

namespace millrace {
namespace {

byte_view bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string text_of(const record_ref& record) {
  return {reinterpret_cast<const char*>(record.bytes), record.stride};
}

/// What the server's own reader makes of a batch.
std::vector<std::string> read_back(put_batch& batch) {
  std::string body = batch.finish();
  const std::size_t bytes = body.size();
  body.resize(bytes + 64);
  put_request request;
  const auto failure = decode_put(wire_encoding::json, true,
                                  {reinterpret_cast<std::byte*>(body.data()), bytes}, request);
  EXPECT_FALSE(failure) << failure->message;
  EXPECT_EQ(request.text("StreamName"), "orders");
  std::vector<std::string> out;
  for (const record_ref& one : request.records)
    out.push_back(text_of(one));
  return out;
}

TEST(put_client, a_batch_is_read_back_by_the_server_record_by_record) {
  put_batch batch("orders");
  const uint128 hash_key = uint128_max;
  batch.add(7, 1, "a\"\n\xc3\xa9", bytes_of(std::string_view("\0\1 data", 7)), nullptr);
  batch.add(8, 2, "b", {}, &hash_key);
  EXPECT_EQ(batch.entries().size(), 2u);
  EXPECT_EQ(batch.payload_bytes(), 5u + 7 + 1);
  put_batch second("orders");
  second.add(batch, batch.entries()[1]);
  EXPECT_EQ(second.entries()[0].number, 8u);
  EXPECT_EQ(second.payload_bytes(), 1u);

  const auto both = read_back(batch);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_NE(both[0].find("a\"\n\xc3\xa9" + std::string("\0\1 data", 7)), std::string::npos);
  EXPECT_EQ(read_back(second), std::vector<std::string>{both[1]});
}

TEST(put_client, each_record_of_an_answer_has_its_own_fate) {
  const std::string sequence =
      sequence_number{1'700'000'000, record_index(5), 1'700'000'100, shard_index(3)}.to_string();
  const auto results = read_put_answer(
      {200, R"({"FailedRecordCount":2,"Records":[{"SequenceNumber":")" + sequence +
                R"(","ShardId":"shardId-000000000003"},)"
                R"({"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"slow"},)"
                R"({"ErrorCode":"AccessDeniedException","ErrorMessage":"no"},)"
                R"({"SequenceNumber":"17","ShardId":"x"}]})"},
      4);
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0].is, put_result::fate::stored);
  ASSERT_TRUE(results[0].place);
  EXPECT_EQ(results[0].place->index.value, 5u);
  EXPECT_EQ(results[1].is, put_result::fate::again);
  EXPECT_EQ(results[1].reason, "ProvisionedThroughputExceededException: slow");
  EXPECT_EQ(results[2].is, put_result::fate::refused);
  EXPECT_EQ(results[3].is, put_result::fate::stored);
  EXPECT_FALSE(results[3].place) << "no sequence number of ours";
}

TEST(put_client, a_request_that_failed_fails_all_its_records) {
  const auto fate = [](unsigned status, const std::string& body) {
    const auto results = read_put_answer({status, body}, 2);
    EXPECT_EQ(results.size(), 2u);
    EXPECT_EQ(results[0].is, results[1].is);
    return results[1].is;
  };
  EXPECT_EQ(fate(400, R"({"__type":"ResourceNotFoundException","message":"m"})"),
            put_result::fate::refused);
  EXPECT_EQ(fate(400, R"({"__type":"com.amazonaws#LimitExceededException","message":"m"})"),
            put_result::fate::again);
  EXPECT_EQ(fate(500, R"({"__type":"InternalFailure"})"), put_result::fate::again);
  EXPECT_EQ(fate(503, ""), put_result::fate::again);
  EXPECT_EQ(fate(403, "<html>"), put_result::fate::refused);
}

TEST(put_client, an_answer_without_a_result_for_each_record_is_not_taken_for_one) {
  const std::string stored = R"({"SequenceNumber":"17","ShardId":"x"})";
  for (const std::string& body :
       {std::string("{}"), std::string(), std::string("[1"), R"({"Records":[)" + stored + "]}",
        R"({"Records":[)" + stored + "," + stored + "," + stored + "]}",
        R"({"Records":[)" + stored + ",{}]}"}) {
    const auto results = read_put_answer({200, body}, 2);
    ASSERT_EQ(results.size(), 2u) << body;
    EXPECT_EQ(results[0].is, put_result::fate::refused) << body;
    EXPECT_FALSE(results[0].reason.empty());
  }
}

}  // namespace
}  // namespace millrace
