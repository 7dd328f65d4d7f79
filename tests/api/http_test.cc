#include <atomic>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/admin_json.h"
#include "api/http_client.h"
#include "api/http_message.h"
#include "api/http_server.h"
#include "api/metrics_text.h"
#include "api/record_reading.h"

namespace millrace {
namespace {

TEST(http_message, a_target_is_split_and_decoded) {
  std::string path;
  http_fields query;
  ASSERT_TRUE(parse_target("/a%20b/c?x=1&y=%26+z&flag&=v", path, query));
  EXPECT_EQ(path, "/a b/c");
  const http_fields wanted{{"x", "1"}, {"y", "& z"}, {"flag", ""}, {"", "v"}};
  EXPECT_EQ(query, wanted);
  EXPECT_EQ(percent_encode("a b/é"), "a%20b%2F%C3%A9");
}

TEST(http_message, a_bad_escape_is_refused) {
  std::string path;
  http_fields query;
  for (const char* bad : {"/%", "/%2", "/%zz", "/a?b=%f"})
    EXPECT_FALSE(parse_target(bad, path, query)) << bad;
}

std::unique_ptr<http_server> serve(http_server::handler handle, http_server_options options = {}) {
  auto server = http_server::start(options, std::move(handle));
  EXPECT_TRUE(server.ok());
  return std::move(*server);
}

TEST(http_server, a_client_gets_what_the_handler_says) {
  auto server = serve([](const http_request& request) {
    http_response out;
    out.status = 201;
    out.body = request.method + " " + request.path + " " + std::string(request.header("x-a")) +
               " " + std::string(request.parameter("q").value_or("?")) + " " + request.body;
    return out;
  });
  auto client = http_client::create("127.0.0.1", server->port());
  for (int i = 0; i < 3; ++i) {
    auto reply = client->call(
        {.method = "POST", .target = "/p?q=7", .headers = {{"X-A", "b"}}, .body = "text"});
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->status, 201u);
    EXPECT_EQ(reply->body, "POST /p b 7 text");
  }
  EXPECT_EQ(server->counters().requests, 3u);
  EXPECT_EQ(server->counters().connections, 1u);
}

TEST(http_server, a_handler_may_answer_later_without_holding_a_worker) {
  std::atomic<int> calls{0};
  http_server_options options;
  options.workers = 1;
  auto server = serve(
      [&](const http_request& request) {
        http_response out;
        if (request.path == "/now") return out;
        calls.fetch_add(1);
        out.again_after_us = request.waited_us < 50'000 ? 5'000 : 0;
        return out;
      },
      options);
  std::vector<std::thread> waiting;
  std::atomic<int> answered{0};
  for (int i = 0; i < 8; ++i) {
    waiting.emplace_back([&] {
      auto reply = http_client::create("127.0.0.1", server->port())->call({.target = "/later"});
      answered.fetch_add(reply.ok() && reply->status == 200 ? 1 : 0);
    });
  }
  EXPECT_TRUE(http_client::create("127.0.0.1", server->port())->call({.target = "/now"}).ok());
  for (std::thread& one : waiting)
    one.join();
  EXPECT_EQ(answered.load(), 8);
  EXPECT_GT(calls.load(), 8);
}

TEST(http_server, a_body_beyond_the_limit_is_413) {
  http_server_options options;
  options.body_bytes_max = 1000;
  auto server = serve([](const http_request&) { return http_response(); }, options);
  auto client = http_client::create("127.0.0.1", server->port());
  auto reply = client->call({.method = "POST", .body = std::string(1001, 'x')});
  ASSERT_TRUE(reply.ok()) << reply.failure().message();
  EXPECT_EQ(reply->status, 413u);
  reply = client->call({.method = "POST", .body = std::string(1000, 'x')});
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->status, 200u);
}

TEST(http_server, connections_beyond_the_limit_are_closed_and_counted) {
  http_server_options options;
  options.connections_max = 1;
  auto server = serve([](const http_request&) { return http_response(); }, options);
  auto first = http_client::create("127.0.0.1", server->port());
  ASSERT_TRUE(first->call({}).ok());
  EXPECT_FALSE(http_client::create("127.0.0.1", server->port())->call({}).ok());
  EXPECT_EQ(server->counters().connections_refused, 1u);
  EXPECT_TRUE(first->call({}).ok());
}

TEST(http_server, stopping_ends_a_connection_that_waits) {
  auto server = serve([](const http_request&) {
    http_response out;
    out.again_after_us = 1'000;
    return out;
  });
  std::thread waiting([port = server->port()] {
    EXPECT_FALSE(http_client::create("127.0.0.1", port)->call({}).ok());
  });
  while (server->counters().requests == 0)
    std::this_thread::yield();
  server.reset();
  waiting.join();
}

/// All that a server answers to `request` until it closes the connection, through a bare socket.
std::string raw_exchange(std::uint16_t port, const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  std::string out;
  char some[4096];
  for (ssize_t got = 0; (got = recv(fd, some, sizeof some, 0)) > 0;)
    out.append(some, static_cast<std::size_t>(got));
  close(fd);
  return out;
}

http_server::handler streaming(std::function<http_piece()> more) {
  return [more = std::move(more)](const http_request&) {
    http_response out;
    out.content_type = "text/event-stream";
    out.body = "begin\n";
    out.more = more;
    return out;
  };
}

TEST(http_server, a_body_may_be_made_while_it_is_sent) {
  auto calls = std::make_shared<int>(0);
  auto server = serve(streaming([calls] {
    ++*calls;
    return http_piece{.bytes = *calls % 2 == 0 ? std::string(20, 'x') : "",
                      .is_last = *calls == 4,
                      .again_after_us = 1000};
  }));
  const std::string got = raw_exchange(server->port(), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const std::size_t body = got.find("\r\n\r\n");
  ASSERT_NE(body, std::string::npos);
  EXPECT_NE(got.find("Transfer-Encoding: chunked"), std::string::npos) << got;
  EXPECT_NE(got.find("text/event-stream"), std::string::npos);
  const std::string x(20, 'x');
  EXPECT_EQ(got.substr(body + 4),
            "6\r\nbegin\n\r\n14\r\n" + x + "\r\n14\r\n" + x + "\r\n0\r\n\r\n");
  const std::string head = raw_exchange(server->port(), "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
  EXPECT_TRUE(raw_exchange(server->port(), "GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 505"));
  while (server->counters().streams > 0)
    std::this_thread::yield();
}

TEST(http_server, streams_hold_no_worker_and_are_bounded) {
  http_server_options options;
  options.workers = 1;
  options.streams_max = 3;
  std::atomic<bool> is_over{false};
  auto server =
      serve(streaming([&] {
              return http_piece{
                  .bytes = is_over ? "end" : "", .is_last = is_over, .again_after_us = 1000};
            }),
            options);
  std::vector<std::thread> readers;
  std::atomic<int> ended{0};
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      const auto got = raw_exchange(server->port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      ended.fetch_add(got.find("end") != std::string::npos ? 1 : 0);
    });
  }
  while (server->counters().streams < 3)
    std::this_thread::yield();
  EXPECT_TRUE(raw_exchange(server->port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                  .starts_with("HTTP/1.1 503"));
  EXPECT_EQ(server->counters().streams_refused, 1u);
  is_over = true;
  for (std::thread& one : readers)
    one.join();
  EXPECT_EQ(ended.load(), 3);
}

TEST(http_server, a_client_that_takes_nothing_is_dropped_and_counted) {
  http_server_options options;
  options.stream_stall_us = 20'000;
  auto server =
      serve(streaming([] { return http_piece{.bytes = std::string(1 << 20, 'x')}; }), options);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(server->port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  const std::string request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_GT(send(fd, request.data(), request.size(), 0), 0);
  while (server->counters().streams_dropped == 0)
    std::this_thread::yield();
  while (server->counters().streams > 0)
    std::this_thread::yield();
  close(fd);
}

TEST(http_client, says_when_nobody_listens) {
  auto reply = http_client::create("127.0.0.1", 1)->call({});
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.failure().code(), error_code::unavailable);
}

TEST(metrics_text, families_and_labels_are_escaped) {
  metrics_text out;
  out.family("a_total", "counter", "of \\ and\nlines");
  out.sample(std::uint64_t{18446744073709551615u}, {{"s", "x\"\\\n"}});
  out.sample(0.5);
  EXPECT_EQ(out.take(),
            "# HELP a_total of \\\\ and\\nlines\n# TYPE a_total counter\n"
            "a_total{s=\"x\\\"\\\\\\n\"} 18446744073709551615\na_total 0.5\n");
}

TEST(read_cursor, is_read_back_from_its_text) {
  read_cursor cursor;
  cursor.next[shard_index(0)] = record_index(17);
  cursor.next[shard_index(12)] = record_index(0);
  EXPECT_EQ(cursor.to_text(), "0:17,12:0");
  auto again = read_cursor::parse("0:17,12:0");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->next, cursor.next);
  EXPECT_FALSE(again->one_shard);
  cursor.one_shard = true;
  again = read_cursor::parse(cursor.to_text());
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->one_shard);
  for (const char* bad : {"0", "0:", ":1", "0:1:2", "a:1", "0:-1", "=", "0:1;1:2"})
    EXPECT_FALSE(read_cursor::parse(bad).ok()) << bad;
}

TEST(admin_json, requests_name_what_is_wrong_with_them) {
  EXPECT_FALSE(parse_stream_request("").ok());
  EXPECT_FALSE(parse_stream_request("[]").ok());
  const auto unknown = parse_stream_request(R"({"shardz": 3})");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.failure().message().find("shardz"), std::string::npos);
  EXPECT_FALSE(parse_stream_request(R"({"shards": -3})").ok());
  EXPECT_FALSE(parse_stream_request(R"({"name": 3})").ok());
  const auto good = parse_stream_request(R"({"name": "s", "shards": 3})");
  ASSERT_TRUE(good.ok());
  const auto again = parse_stream_request(to_json(*good));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->name, "s");
  EXPECT_EQ(again->shards, 3u);
}

TEST(admin_json, hash_keys_are_decimal_numbers_of_128_bits) {
  const std::string largest = "340282366920938463463374607431768211455";
  auto parsed = parse_hash_key(largest);
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(*parsed == uint128_max);
  EXPECT_EQ(hash_key_text(uint128_max), largest);
  EXPECT_EQ(hash_key_text(0), "0");
  EXPECT_FALSE(parse_hash_key("340282366920938463463374607431768211456").ok());
  EXPECT_FALSE(parse_hash_key("").ok());
  EXPECT_FALSE(parse_hash_key("-1").ok());
}

TEST(admin_json, errors_travel_by_code_and_message) {
  const error there(error_code::not_found, "no stream 'x\xff'");
  const error here = parse_error_json(error_json(there), 404);
  EXPECT_EQ(here.code(), error_code::not_found);
  EXPECT_NE(here.message().find("no stream"), std::string::npos);
  EXPECT_EQ(parse_error_json("<html>", 502).code(), error_code::io);
}

}  // namespace
}  // namespace millrace
