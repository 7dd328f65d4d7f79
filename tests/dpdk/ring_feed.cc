// Feeds the lines of a file through a DPDK port in memory (net_ring) into the logs of a data
// directory: an in-process producer on one end, a door and the pipeline on the other. Run by
// ring_files_test.py, which then reads the directory with the program and judges.
//
//   ring_feed DIRECTORY STREAM SHARDS FILE FORMAT KEY_FIELD     (the last two as in `produce`)
#include <cstdio>
#include <string>

#include "base/arena.h"
#include "ingest/door.h"
#include "ingest/dpdk_port.h"
#include "ingest/producer.h"
#include "ingest/record_reader.h"
#include "shards/pipeline.h"
#include "tests/ingest/dpdk_arguments.h"

namespace millrace {
namespace {

constexpr std::uint64_t patience_us = 60'000'000;

status feed(const std::string& directory, const std::string& stream, std::uint32_t shards,
            record_reader& input) {
  MILLRACE_TRY(start_dpdk(test::dpdk_arguments));
  const dpdk_ring_options ring;
  MILLRACE_ASSIGN(arena memory,
                  arena::create({.bytes = dpdk_ring_arena_bytes(ring) + 64 * limits::mib}));
  pipeline_options options;
  options.data_directory = directory;
  std::vector<recovered_stream> recovered;
  MILLRACE_ASSIGN(const auto streams, pipeline::open(options, recovered));
  streams->start();
  MILLRACE_TRY(streams->create_stream(stream, shards, retention_policy{}));
  MILLRACE_ASSIGN(dpdk_ring_pair pair, open_dpdk_ring_pair(ring, memory));
  const cookie_maker cookies;
  MILLRACE_ASSIGN(const auto way_in,
                  door::create({.memory = memory, .sink = *streams, .cookies = cookies},
                               std::move(pair.server), {}));
  way_in->start();
  producer_options with;
  with.stream = stream;
  std::uint64_t durable = 0;
  MILLRACE_ASSIGN(const auto sender,
                  producer::connect(std::move(pair.client), pair.server_address, with,
                                    [&](const record_outcome& one) { durable += one.durable; }));
  std::uint64_t sent = 0;
  for (input_record one;; ++sent) {
    MILLRACE_ASSIGN(const bool is_there, input.next(one));
    if (!is_there) break;
    MILLRACE_TRY(sender->send(one.key, one.data));
  }
  MILLRACE_TRY(sender->flush(patience_us));
  sender->close();
  way_in->stop();
  streams->stop();
  std::printf("%llu records durable\n", static_cast<unsigned long long>(durable));
  if (durable != sent) return error(error_code::corrupt, "not every record became durable");
  return {};
}

status run(char** arguments) {
  MILLRACE_ASSIGN(const input_format format, parse_input_format(arguments[5]));
  MILLRACE_ASSIGN(
      const auto input,
      record_reader::open({.path = arguments[4], .format = format, .key_field = arguments[6]}));
  return feed(arguments[1], arguments[2], static_cast<std::uint32_t>(std::stoul(arguments[3])),
              *input);
}

}  // namespace
}  // namespace millrace

int main(int count, char** arguments) {
  if (count != 7) {
    std::fprintf(stderr, "usage: ring_feed DIRECTORY STREAM SHARDS FILE FORMAT KEY_FIELD\n");
    return 2;
  }
  const millrace::status fed = millrace::run(arguments);
  if (fed.ok()) return 0;
  std::fprintf(stderr, "%s\n", fed.failure().message().c_str());
  return 1;
}
