// Fields out of records, one core: bytes of data a second, beside copying the same bytes and beside
// simdjson reading the same fields of the same documents.
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <simdjson.h>

#include "base/record_format.h"
#include "gpu/extract.h"
#include "gpu/extract_record.h"

namespace millrace {
namespace {

/// A block's worth of records, one after the other as in a log.
class record_block {
 public:
  explicit record_block(const std::vector<std::string>& data) {
    std::size_t bytes = 0;
    for (const std::string& one : data)
      bytes += record_stride(key.size(), one.size(), false);
    bytes_.resize(bytes + 64);
    std::byte* next = bytes_.data();
    for (const std::string& one : data) {
      const std::uint32_t stride = write_record(next, key, std::as_bytes(std::span(one)), nullptr);
      records_.push_back({next, 1'700'000'000'000'000, records_.size(), 0, stride});
      data_bytes_ += one.size();
      next += stride;
    }
  }
  std::span<const record_input> records() const { return records_; }
  std::size_t data_bytes() const { return data_bytes_; }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  static constexpr std::string_view key = "sensor-17";
  std::vector<std::byte> bytes_;
  std::vector<record_input> records_;
  std::size_t data_bytes_ = 0;
};

constexpr std::size_t block_records = 3000;  // about 1 MB of 300-byte documents

std::string digits(std::mt19937& random, int most) {
  std::string text(1, static_cast<char>('1' + random() % 9));
  for (auto more = random() % static_cast<unsigned>(most); more > 0; --more)
    text += static_cast<char>('0' + random() % 10);
  return text;
}

/// About 300 bytes; what is wanted is at the start, in the middle and near the end.
std::vector<std::string> json_documents() {
  std::mt19937 random(1);
  std::vector<std::string> documents;
  for (std::size_t i = 0; i < block_records; ++i) {
    documents.push_back(
        R"({"ts":)" + std::to_string(1'700'000'000'000 + i * 7) + R"(,"host":"web-)" +
        digits(random, 3) +
        R"(.example.net","region":"eu-central-1","method":"GET","path":"/api/v1/items/)" +
        digits(random, 7) + R"(","status":)" + std::to_string(200 + random() % 300) +
        R"(,"user":{"id":)" + digits(random, 8) +
        R"(,"plan":"basic"},"ua":"curl/7.88.1 x86_64","ref":")" +
        R"(https://example.net/start","cached":false,"bytes_in":)" + digits(random, 4) +
        R"(,"latency_ms":)" + digits(random, 3) + "." + digits(random, 2) +
        R"(,"tags":["a","b"]})");
  }
  return documents;
}

field_plan json_field(std::string path, field_type type,
                      time_format format = time_format::milliseconds) {
  return {.name = path, .type = type, .source = json_source{path}, .format = format};
}

void run(benchmark::State& state, const record_block& block, const extractor& plan) {
  std::vector<field_value> out(plan.field_count() * block.records().size());
  for (auto _ : state) {
    plan.extract(block.records(), out.data(), block.records().size());
    benchmark::ClobberMemory();
  }
  std::size_t nulls = 0;
  for (const field_value& value : out)
    nulls += value.is_null() ? 1 : 0;
  if (nulls > 0) state.SkipWithError("a field was not found");
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * block.data_bytes()));
  state.counters["records"] =
      benchmark::Counter(static_cast<double>(state.iterations() * block.records().size()),
                         benchmark::Counter::kIsRate);
  state.counters["record_bytes"] =
      static_cast<double>(block.data_bytes()) / static_cast<double>(block.records().size());
}

void extract(benchmark::State& state, const std::vector<std::string>& data, record_layout layout,
             const std::vector<field_plan>& fields, simd_level level) {
  const record_block block(data);
  const auto plan = extractor::compile(layout, ',', fields, level);
  if (!plan.ok()) {
    state.SkipWithError(plan.failure().message().c_str());
    return;
  }
  run(state, block, *plan);
}

const std::vector<field_plan> json_plan = {json_field("ts", field_type::timestamp),
                                           json_field("status", field_type::int64),
                                           json_field("latency_ms", field_type::float64)};

void json_3_fields(benchmark::State& state, simd_level level) {
  extract(state, json_documents(), record_layout::json, json_plan, level);
}

void json_1_early_field(benchmark::State& state, simd_level level) {
  extract(state, json_documents(), record_layout::json, {json_field("ts", field_type::timestamp)},
          level);
}

void json_simdjson(benchmark::State& state) {
  std::vector<simdjson::padded_string> documents;
  std::size_t bytes = 0;
  for (const std::string& one : json_documents()) {
    documents.emplace_back(one);
    bytes += one.size();
  }
  simdjson::ondemand::parser parser;
  double sum = 0;
  for (auto _ : state) {
    for (const auto& document : documents) {
      auto read = parser.iterate(document);
      sum += static_cast<double>(std::int64_t(read["ts"]));
      sum += static_cast<double>(std::int64_t(read["status"]));
      sum += double(read["latency_ms"]);
    }
    benchmark::DoNotOptimize(sum);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
}

void copy(benchmark::State& state) {
  const record_block block(json_documents());
  std::vector<std::byte> to(block.bytes().size());
  for (auto _ : state) {
    std::memcpy(to.data(), block.bytes().data(), to.size());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * block.data_bytes()));
}

void csv_3_fields(benchmark::State& state, simd_level level) {
  std::mt19937 random(2);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < block_records; ++i) {
    lines.push_back(std::to_string(1'700'000'000'000 + i) + ",web-" + digits(random, 3) +
                    ",eu-central-1,GET,/api/v1/items/" + digits(random, 7) + "," +
                    std::to_string(200 + random() % 300) + "," + digits(random, 6) + "," +
                    digits(random, 3) + "." + digits(random, 2) + ",false");
  }
  extract(state, lines, record_layout::csv,
          {{.name = "ts",
            .type = field_type::timestamp,
            .source = csv_source{0},
            .format = time_format::milliseconds},
           {.name = "status", .type = field_type::int64, .source = csv_source{5}},
           {.name = "latency", .type = field_type::float64, .source = csv_source{7}}},
          level);
}

void access_log_4_fields(benchmark::State& state, simd_level level) {
  std::mt19937 random(3);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < block_records; ++i) {
    lines.push_back("83.149.9." + std::to_string(random() % 256) +
                    " - - [17/May/2015:10:05:03 +0000] \"GET /presentations/images/" +
                    digits(random, 8) + ".png HTTP/1.1\" " + std::to_string(200 + random() % 300) +
                    " " + digits(random, 6) +
                    " \"http://example.net/presentations/start/\" \"Mozilla/5.0 (Macintosh; Intel "
                    "Mac OS X 10_9_1) AppleWebKit/537.36\"");
  }
  const auto field = [](access_log_part part, field_type type) {
    return field_plan{.name = "part",
                      .type = type,
                      .source = access_log_source{part},
                      .format = time_format::access_log};
  };
  extract(state, lines, record_layout::access_log,
          {field(access_log_part::time, field_type::timestamp),
           field(access_log_part::path, field_type::string),
           field(access_log_part::status, field_type::int64),
           field(access_log_part::bytes, field_type::int64)},
          level);
}

void binary_3_fields(benchmark::State& state, simd_level level) {
  std::mt19937_64 random(4);
  std::vector<std::string> records;
  for (std::size_t i = 0; i < block_records; ++i) {
    std::uint64_t words[4] = {1'700'000'000'000'000 + i, random() % 1000, random() >> 12, 0};
    records.emplace_back(reinterpret_cast<const char*>(words), sizeof words);
  }
  const auto field = [](std::uint32_t offset, field_type type, binary_kind kind) {
    return field_plan{.name = "number",
                      .type = type,
                      .source = binary_source{.offset = offset, .kind = kind},
                      .format = time_format::microseconds};
  };
  extract(state, records, record_layout::binary,
          {field(0, field_type::timestamp, binary_kind::i64),
           field(8, field_type::int64, binary_kind::u32),
           field(16, field_type::float64, binary_kind::f64)},
          level);
}

void at_each_level(const char* name, void (*bench)(benchmark::State&, simd_level)) {
  for (const simd_level level : {simd_level::scalar, simd_level::avx2, simd_level::avx512}) {
    if (!has_simd(level)) continue;
    benchmark::RegisterBenchmark((std::string(name) + "/" + std::string(to_string(level))).c_str(),
                                 bench, level);
  }
}

[[maybe_unused]] const bool registered = [] {
  benchmark::RegisterBenchmark("copy", copy);
  benchmark::RegisterBenchmark("json_simdjson", json_simdjson);
  at_each_level("json_3_fields", json_3_fields);
  at_each_level("json_1_early_field", json_1_early_field);
  at_each_level("csv_3_fields", csv_3_fields);
  at_each_level("access_log_4_fields", access_log_4_fields);
  at_each_level("binary_3_fields", binary_3_fields);
  return true;
}();

}  // namespace
}  // namespace millrace
