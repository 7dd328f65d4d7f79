#include "api/sigv4.h"

#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "api/event_stream.h"

namespace millrace {
namespace {

using header_list = std::vector<std::pair<std::string_view, std::string_view>>;

byte_view bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

class sigv4_test : public testing::Test {
 protected:
  static constexpr std::uint64_t now_s = 1'440'938'160;  // 2015-08-30 12:36 UTC
  static constexpr std::string_view body = R"({"Limit":3})";

  sigv4_test() {
    auto parsed = parse_credentials(
        "# comment\nAKIDEXAMPLE wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n"
        "WRITER secret actions=Put* streams=orders,log* token=session\n",
        "test");
    keys_ = *parsed;
  }

  /// A signed request as it arrives; what `change` does to it comes after signing.
  std::string refusal(std::string_view secret_of, std::uint64_t sent_s, std::uint64_t seen_s,
                      const std::function<void(header_list&, std::string&)>& change = nullptr) {
    header_list headers{{"Host", "kinesis.us-east-1.amazonaws.com"},
                        {"Content-Type", "application/x-amz-json-1.1"},
                        {"X-Amz-Target", "Kinesis_20131202.ListStreams"}};
    std::string text(body);
    const auto added = sign_sigv4({"POST", "/", headers, bytes_of(text)}, *keys_.find(secret_of),
                                  "us-east-1", sent_s);
    for (const auto& [name, value] : added)
      headers.emplace_back(name, value);
    if (change) change(headers, text);
    const credential* who = nullptr;
    const auto failure =
        sigv4_verifier(keys_).verify({"POST", "/", headers, bytes_of(text)}, seen_s, who);
    EXPECT_EQ(who != nullptr, !failure);
    return failure ? std::string(failure->name) : "";
  }

  credential_set keys_;
};

/// Made by botocore's SigV4Auth for this very request, key and time.
TEST_F(sigv4_test, the_signature_is_that_of_aws_clients) {
  const header_list headers{{"Host", "kinesis.us-east-1.amazonaws.com"},
                            {"Content-Type", "application/x-amz-json-1.1"},
                            {"X-Amz-Target", "Kinesis_20131202.ListStreams"}};
  const auto added = sign_sigv4({"POST", "/", headers, bytes_of(body)}, *keys_.find("AKIDEXAMPLE"),
                                "us-east-1", now_s);
  ASSERT_EQ(added.size(), 2u);
  EXPECT_EQ(added[0].second, "20150830T123600Z");
  EXPECT_EQ(added[1].second,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_req"
            "uest, SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
            "Signature=4d075567ae56a6c3f97e067a9b5c0f018e6dad58ae0d99420960d108fb37a94e");
}

/// Likewise: a path is encoded once more, spaces in a value are one, and a query is part of it.
TEST_F(sigv4_test, paths_queries_and_spaces_are_signed_as_aws_clients_sign_them) {
  const header_list headers{{"Host", "kinesis.us-east-1.amazonaws.com"},
                            {"Content-Type", "application/x-amz-json-1.1"},
                            {"X-Amz-Meta", "  two \t words "},
                            {"X-Amz-Target", "Kinesis_20131202.ListStreams"}};
  const auto added = sign_sigv4({"POST", "/a%20b/c?x=1&b=%2F", headers, bytes_of(body)},
                                *keys_.find("AKIDEXAMPLE"), "us-east-1", 1'795'934'931u);
  EXPECT_EQ(added[0].second, "20261129T064851Z");
  EXPECT_TRUE(added[1].second.ends_with(
      "Signature=e5b9b6c19ff7b37ebc82d45ebebd15cb08f8a99e052b818fa822c819f6b6d514"))
      << added[1].second;
}

TEST_F(sigv4_test, good_signatures_pass_and_changed_requests_do_not) {
  EXPECT_EQ(refusal("AKIDEXAMPLE", now_s, now_s), "");
  EXPECT_EQ(refusal("AKIDEXAMPLE", now_s, now_s, [](auto&, auto& text) { text[2] = 'l'; }),
            "InvalidSignatureException");
  for (const std::size_t i : {0u, 1u, 2u})
    EXPECT_EQ(refusal("AKIDEXAMPLE", now_s, now_s,
                      [&](header_list& headers, auto&) { headers[i].second = "other"; }),
              "InvalidSignatureException")
        << i;
  // A header that says what is done has to be signed.
  EXPECT_EQ(
      refusal("AKIDEXAMPLE", now_s, now_s,
              [](header_list& headers, auto&) { headers.emplace_back("X-Amz-Something", "more"); }),
      "InvalidSignatureException");
}

TEST_F(sigv4_test, signatures_are_good_for_fifteen_minutes_each_way) {
  EXPECT_EQ(refusal("AKIDEXAMPLE", now_s, now_s + 900), "");
  EXPECT_EQ(refusal("AKIDEXAMPLE", now_s, now_s + 901), "InvalidSignatureException");
  EXPECT_EQ(refusal("AKIDEXAMPLE", now_s, now_s - 900), "");
  EXPECT_EQ(refusal("AKIDEXAMPLE", now_s, now_s - 901), "InvalidSignatureException");
}

TEST_F(sigv4_test, what_is_missing_is_named) {
  const auto drop = [](std::string_view name) {
    return [name](header_list& headers, auto&) {
      std::erase_if(headers, [&](const auto& one) { return one.first == name; });
    };
  };
  EXPECT_EQ(refusal("AKIDEXAMPLE", now_s, now_s, drop("Authorization")),
            "MissingAuthenticationTokenException");
  EXPECT_EQ(refusal("AKIDEXAMPLE", now_s, now_s, drop("X-Amz-Date")),
            "IncompleteSignatureException");
  // A session token that is configured has to be there.
  EXPECT_EQ(refusal("WRITER", now_s, now_s), "UnrecognizedClientException");
  EXPECT_EQ(refusal("WRITER", now_s, now_s,
                    [](header_list& headers, auto&) {
                      headers.emplace_back("X-Amz-Security-Token", "session");
                    }),
            "");
}

TEST_F(sigv4_test, a_key_is_for_its_actions_and_streams) {
  const credential& writer = *keys_.find("WRITER");
  EXPECT_TRUE(writer.allows_action("PutRecords"));
  EXPECT_FALSE(writer.allows_action("DeleteStream"));
  EXPECT_TRUE(writer.allows_stream("orders"));
  EXPECT_TRUE(writer.allows_stream("logs-1"));
  EXPECT_FALSE(writer.allows_stream("orders2"));
  EXPECT_TRUE(keys_.find("AKIDEXAMPLE")->allows_action("DeleteStream"));
  for (const char* bad : {"", "KEY", "KEY secret streams=", "KEY secret more", "A b\nA c"})
    EXPECT_FALSE(parse_credentials(bad, "test").ok()) << bad;
}

/// Decoded and encoded by botocore's eventstream module.
TEST(event_stream, a_frame_is_that_of_aws_clients) {
  const std::string frame = event_frame({{":message-type", "event"}}, "{}");
  std::string hex;
  for (const char c : frame) {
    constexpr std::string_view digits = "0123456789abcdef";
    hex += digits[static_cast<unsigned char>(c) >> 4];
    hex += digits[static_cast<unsigned char>(c) & 15];
  }
  EXPECT_EQ(hex,
            "000000280000001660470efd0d3a6d6573736167652d747970650700056576656e747b7db7184afc");
}

}  // namespace
}  // namespace millrace
