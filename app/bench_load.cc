#include "app/bench_load.h"

#include <algorithm>
#include <thread>

#include "base/clock.h"
#include "shards/discard_file_system.h"

namespace millrace {
namespace {

constexpr std::uint64_t settle_us = 200'000;  ///< until caches, credit and segments are warm

endpoint load_endpoint() {
  endpoint peer;
  peer.port = 1;
  return peer;
}

}  // namespace

std::vector<std::vector<std::byte>> make_payloads(
    std::uint32_t data_bytes, std::uint32_t keys, std::uint64_t load_bytes,
    std::uint32_t payload_bytes_max, const std::function<std::string(std::uint32_t)>& data_of) {
  std::vector<std::byte> data(data_bytes);
  for (std::uint32_t i = 0; i < data_bytes; ++i)
    data[i] = static_cast<std::byte>('a' + i % 26);
  std::vector<std::vector<std::byte>> payloads;
  std::uint64_t made = 0;
  for (std::uint32_t i = 0; made < load_bytes; ++i) {
    // Spread by a multiplier, so that neighbours differ.
    const std::string key = "key-" + std::to_string(i * 2654435761u % keys);
    if (data_of) {
      const std::string text = data_of(i);
      const auto bytes = std::as_bytes(std::span(text));
      data.assign(bytes.begin(), bytes.end());
    }
    const std::uint32_t stride = record_stride(key.size(), data.size(), false);
    if (payloads.empty() || payloads.back().size() + stride > payload_bytes_max) {
      payloads.emplace_back().reserve(payload_bytes_max);
    }
    auto& payload = payloads.back();
    payload.resize(payload.size() + stride);
    write_record(payload.data() + payload.size() - stride, key, data, nullptr);
    made += stride;
  }
  return payloads;
}

result<std::unique_ptr<memory_path>> memory_path::create(const path_setup& setup, bool threads) {
  auto path = std::unique_ptr<memory_path>(new memory_path);
  path->setup_ = setup;
  path->threads_ = threads;
  constexpr std::uint64_t other_bytes = 64 * limits::mib;  // reassembly buffers
  MILLRACE_ASSIGN(path->memory_, arena::create({.bytes = setup.load_bytes * 3 / 2 + other_bytes}));

  pipeline_options options;
  options.data_directory = setup.directory;
  options.log.segment_bytes = setup.segment_bytes;
  if (setup.discard) options.files = make_discard_file_system();
  std::vector<recovered_stream> recovered;
  MILLRACE_ASSIGN(path->pipeline_, pipeline::open(options, recovered));
  if (threads) path->pipeline_->start();
  MILLRACE_TRY(path->pipeline_->create_stream("bench", setup.shards, retention_policy{}));

  const auto payloads =
      make_payloads(setup.data_bytes, setup.keys, setup.load_bytes,
                    limits::datagram_bytes_max - wire::datagram_bytes(0, false), setup.data_of);
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  for (const auto& payload : payloads) {
    for (std::size_t at = 0; at < payload.size(); ++records) {
      const record_view record(payload.data() + at);
      bytes += record.key().size() + record.data().size();
      at += record.stride();
    }
  }
  path->key_and_data_bytes_ = static_cast<double>(bytes) / static_cast<double>(records);
  MILLRACE_ASSIGN(auto source, replay_source::create(*path->memory_, payloads,
                                                     {.records_per_s = setup.records_per_s}));
  path->source_ = source.get();

  door_options door_with;
  door_with.reassemblies = 1;
  door_with.server.arena_bytes = std::max(setup.load_bytes, 64 * limits::mib);
  const door_parts parts{
      .memory = *path->memory_, .sink = *path->pipeline_, .cookies = path->cookies_};
  MILLRACE_ASSIGN(path->door_, door::create(parts, std::move(source), door_with));
  MILLRACE_TRY(path->door_->server().open_in_process("bench", producer_id(uint128{1}),
                                                     load_endpoint(), monotonic_us()));
  if (threads) path->door_->start();
  return path;
}

void memory_path::stop_load() {
  if (door_) door_->stop();
}

memory_path::~memory_path() {
  stop_load();
  if (pipeline_) pipeline_->stop();
}

result<path_rates> memory_path::run_for(double seconds) {
  const auto run_until = [&](std::uint64_t until_us) {
    if (threads_) {
      std::this_thread::sleep_for(std::chrono::microseconds(until_us - monotonic_us()));
      return;
    }
    for (std::uint64_t now = monotonic_us(); now < until_us; now = monotonic_us()) {
      door_->do_work(now);
      pipeline_->do_work();
    }
  };
  struct moment {
    std::uint64_t us, records, record_bytes, block_bytes;
    double cpu;
  };
  const auto look = [&] {
    const counter_set& counters = pipeline_->counters();
    return moment{.us = monotonic_us(),
                  .records = counters.get(counter::records_durable),
                  .record_bytes = counters.get(counter::record_bytes_durable),
                  .block_bytes = counters.get(counter::block_bytes_written),
                  .cpu = process_cpu_seconds()};
  };
  run_until(monotonic_us() + settle_us);
  const moment before = look();
  run_until(before.us + static_cast<std::uint64_t>(seconds * 1e6));
  const moment after = look();
  if (after.records == before.records) {
    return error(error_code::unavailable, "no record became durable within the time");
  }
  const double wall = static_cast<double>(after.us - before.us) * 1e-6;
  const double cpu = after.cpu - before.cpu;
  const auto records = static_cast<double>(after.records - before.records);
  const auto block_bytes = static_cast<double>(after.block_bytes - before.block_bytes);
  const double data_bytes = records * setup_.data_bytes;
  return path_rates{
      .records_per_s = records / wall,
      .record_bytes_per_s = static_cast<double>(after.record_bytes - before.record_bytes) / wall,
      .block_bytes_per_s = block_bytes / wall,
      .records_per_core_s = records / cpu,
      .data_bytes_per_core_s = data_bytes / cpu,
      .framing = block_bytes / (records * key_and_data_bytes_)};
}

}  // namespace millrace
