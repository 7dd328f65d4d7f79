// Extraction on a device against the CPU's, record by record: JSON, whole and damaged, and built-in
// fields. On the emulated machine, and the same on a real GPU.
#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/record_format.h"
#include "gpu/cuda_memory.cuh"
#include "gpu/extract.h"
#include "gpu/extract_kernels.cuh"
#include "tests/gpu/gpu_machine.h"

namespace millrace {
namespace {

constexpr std::uint64_t arrival_us = 1'700'000'000'000'000;

std::vector<field_plan> wanted_fields() {
  return {{.name = "path", .type = field_type::string, .source = json_source{"request.path"}},
          {.name = "took", .type = field_type::float64, .source = json_source{"took"}},
          {.name = "status", .type = field_type::int64, .source = json_source{"status"}},
          {.name = "at",
           .type = field_type::timestamp,
           .source = json_source{"at"},
           .format = time_format::rfc3339},
          {.name = "key", .type = field_type::string, .source = builtin_field::partition_key},
          {.name = "number", .type = field_type::int64, .source = builtin_field::record_number},
          {.name = "shard", .type = field_type::int64, .source = builtin_field::shard}};
}

/// A batch on the host, one record after another, and its routes.
struct host_batch {
  std::vector<std::byte> bytes;
  std::vector<std::uint32_t> offsets;
  std::vector<std::uint16_t> shard;
  std::vector<std::uint32_t> rank;
  std::vector<device_run> runs{{.first = 100, .shard = 4, .place = 0},
                               {.first = 7, .shard = 9, .place = 0}};
  std::vector<std::uint16_t> run_of_ordinal{0, 1};

  void add(const std::string& key, const std::string& data) {
    offsets.push_back(static_cast<std::uint32_t>(bytes.size()));
    const bool second = offsets.size() % 3 == 0;
    rank.push_back(static_cast<std::uint32_t>(std::ranges::count(shard, second ? 1 : 0)));
    shard.push_back(second ? 1 : 0);
    if (!second) ++runs[1].place;
    const std::size_t at = bytes.size();
    bytes.resize(at + record_stride(key.size(), data.size(), false));
    write_record(&bytes[at], key, std::as_bytes(std::span(data.data(), data.size())), nullptr);
  }
  /// By place: one run after the other.
  std::vector<record_input> inputs() const {
    std::vector<record_input> all(offsets.size());
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      const device_run& run = runs[shard[i]];
      const record_view view(&bytes[offsets[i]]);
      all[run.place + rank[i]] = {.bytes = view.bytes(),
                                  .arrival_us = arrival_us,
                                  .number = run.first + rank[i],
                                  .shard = run.shard,
                                  .stride = view.stride()};
    }
    return all;
  }
};

host_batch make_batch(std::size_t count) {
  host_batch batch;
  std::mt19937_64 random(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(random() % 100'000);
    std::string data = "{\"id\":" + number + ",\"request\":{\"method\":\"GET\",\"path\":\"/a\\\"" +
                       number + "\"},\"took\":0." + number +
                       ",\"at\":\"2026-01-31T12:00:" + std::to_string(10 + random() % 50) +
                       "Z\",\"status\":" + std::to_string(random() % 600) + "}";
    if (i % 7 == 3) data.resize(random() % data.size());      // cut short
    if (i % 11 == 5) data[random() % data.size()] ^= 0x20;    // damaged
    if (i % 13 == 6) data = std::string(random() % 70, '[');  // hostile
    batch.add("key-" + number, data);
  }
  return batch;
}

/// Device memory with a copy of `from`.
template <class Value>
result<device_memory> send(const std::vector<Value>& from, std::size_t slack, cudaStream_t stream) {
  const std::size_t bytes = sizeof(Value) * from.size();
  MILLRACE_ASSIGN(device_memory made, allocate_device(bytes + slack + 1, 0, "test"));
  MILLRACE_CUDA_TRY(
      cudaMemcpyAsync(made.data(), from.data(), bytes, cudaMemcpyHostToDevice, stream));
  return made;
}

/// Texts become offsets from the batch's first byte.
result<std::vector<field_value>> extract_on_device(const extractor& plan, const host_batch& batch) {
  MILLRACE_CUDA_TRY(cudaSetDevice(0));
  MILLRACE_ASSIGN(const cuda_stream stream, make_stream(0));
  const std::vector<std::byte> tables(plan.tables().begin(), plan.tables().end());
  MILLRACE_ASSIGN(const device_memory program, send(tables, 0, stream.get()));
  MILLRACE_ASSIGN(const device_memory bytes, send(batch.bytes, 64, stream.get()));
  MILLRACE_ASSIGN(const device_memory offsets, send(batch.offsets, 0, stream.get()));
  MILLRACE_ASSIGN(const device_memory shard, send(batch.shard, 0, stream.get()));
  MILLRACE_ASSIGN(const device_memory rank, send(batch.rank, 0, stream.get()));
  MILLRACE_ASSIGN(const device_memory runs, send(batch.runs, 0, stream.get()));
  const std::size_t count = batch.offsets.size();
  std::vector<field_value> out(count * plan.field_count());
  MILLRACE_ASSIGN(const device_memory fields, send(out, 0, stream.get()));
  MILLRACE_ASSIGN(const device_memory run_of, send(batch.run_of_ordinal, 0, stream.get()));
  const fold_records input{.records = {bytes.data(), offsets.as<const std::uint32_t>(),
                                       static_cast<std::uint32_t>(count)},
                           .runs = runs.as<const device_run>(),
                           .run_count = 2,
                           .arrival_us = arrival_us,
                           .shard = shard.as<const std::uint16_t>(),
                           .rank = rank.as<const std::uint32_t>(),
                           .run_of_ordinal = run_of.as<const std::uint16_t>()};
  MILLRACE_CUDA_TRY(
      extract_fields(input, {program.data()}, {fields.as<field_value>(), count}, stream.get()));
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(out.data(), fields.data(), sizeof(field_value) * out.size(),
                                    cudaMemcpyDeviceToHost, stream.get()));
  MILLRACE_CUDA_TRY(cudaStreamSynchronize(stream.get()));
  const auto base = reinterpret_cast<std::uint64_t>(bytes.data());
  for (field_value& one : out)
    if (one.bits >= base && one.bits < base + batch.bytes.size()) one.bits -= base;
  return out;
}

void expect_same(std::size_t count, bool find_races) {
  const std::string reason = start_machine(1, count + 1, find_races);
  if (!reason.empty()) GTEST_SKIP() << reason;
  const host_batch batch = make_batch(count);
  const std::vector<field_plan> fields = wanted_fields();
  const auto plan = extractor::compile(record_layout::json, ',', fields);
  ASSERT_TRUE(plan.ok()) << plan.failure().message();
  const auto found = extract_on_device(*plan, batch);
  ASSERT_TRUE(found.ok()) << found.failure().message() << machine_findings();
  std::vector<field_value> wanted(found->size());
  plan->extract(batch.inputs(), wanted.data(), count);
  const auto base = reinterpret_cast<std::uint64_t>(batch.bytes.data());
  std::size_t values = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    field_value one = wanted[i];
    const bool is_text = fields[i / count].type == field_type::string && !one.is_null();
    if (is_text && one.text_bytes > 0) one.bits -= base;
    ASSERT_EQ((*found)[i].state, one.state) << "field " << i / count << " of record " << i % count;
    ASSERT_EQ((*found)[i].text_bytes, one.text_bytes) << i;
    ASSERT_EQ((*found)[i].form, one.form) << i;
    if (!one.is_null() && !(is_text && one.text_bytes == 0)) {
      ASSERT_EQ((*found)[i].bits, one.bits) << i;
    }
    values += one.is_null() ? 0 : 1;
  }
  EXPECT_GE(values, 3 * count);
  EXPECT_EQ(machine_findings(), "");
}

TEST(extract_kernel, gives_what_the_cpu_gives_for_any_number_of_records) {
  for (const std::size_t count : {1u, 31u, 32u, 33u, 127u, 128u, 129u, 257u, 2000u}) {
    expect_same(count, false);
    if (testing::Test::HasFatalFailure() || testing::Test::IsSkipped()) return;
  }
}

TEST(extract_kernel, has_no_races) {
  expect_same(60, true);
}

}  // namespace
}  // namespace millrace
