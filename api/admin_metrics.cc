#include <fstream>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/admin.h"
#include "api/metrics_text.h"
#include "api/record_reading.h"

namespace millrace {
namespace {

void write_counters(metrics_text& out, const counter_registry& counters) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(counter::count); ++i) {
    const auto which = static_cast<counter>(i);
    out.family(fmt::format("millrace_{}_total", text_of(which).name), "counter",
               text_of(which).help);
    out.sample(counters.total(which));
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(gauge::count); ++i) {
    const auto which = static_cast<gauge>(i);
    out.family(fmt::format("millrace_{}", text_of(which).name), "gauge", text_of(which).help);
    out.sample(counters.total(which));
  }
}

void write_streams(metrics_text& out, const std::vector<stream_status>& streams) {
  const auto each_shard = [&](auto&& value_of) {
    for (const stream_status& stream : streams) {
      for (std::size_t i = 0; i < stream.description.shards.size(); ++i)
        out.sample(value_of(stream, i),
                   {{"stream", stream.description.name},
                    {"shard", shard_name(stream.description.shards[i].shard)}});
    }
  };
  out.family("millrace_shard_records_total", "counter", "durable records of a shard, ever");
  each_shard([](const stream_status& s, std::size_t i) { return s.shard_records[i]; });
  out.family("millrace_shard_record_bytes_total", "counter",
             "record bytes taken into a shard since start");
  each_shard([](const stream_status& s, std::size_t i) { return s.shard_bytes[i]; });
  out.family("millrace_stream_log_bytes", "gauge", "bytes in use in a stream's segment files");
  for (const stream_status& one : streams)
    out.sample(one.log_bytes, {{"stream", one.description.name}});
  out.family("millrace_stream_blocked", "gauge", "1 while a stream's log cannot be written");
  for (const stream_status& one : streams)
    out.sample(std::uint64_t{one.blocked.empty() ? 0u : 1u}, {{"stream", one.description.name}});
}

void write_backend(metrics_text& out, const backend_health& health) {
  out.family("millrace_device_fault", "gauge",
             "1 while a compute device has a fault, which is named");
  out.sample(std::uint64_t{health.fault.empty() ? 0u : 1u}, {{"fault", health.fault}});
  out.family("millrace_device_faults_total", "counter", "errors of compute devices");
  out.sample(health.faults);
  out.family("millrace_device_batches_moved_total", "counter",
             "batches that the CPU routed because a device could not");
  out.sample(health.batches_moved);
}

void write_process(metrics_text& out) {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  out.family("process_cpu_seconds_total", "counter", "CPU time used, user and system");
  out.sample(seconds(used.ru_utime) + seconds(used.ru_stime));

  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0;
  std::uint64_t resident = 0;
  if (statm >> pages >> resident) {
    out.family("process_resident_memory_bytes", "gauge", "memory in use");
    out.sample(resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
  }
}

}  // namespace

http_response admin::metrics() {
  metrics_text out;
  out.family("millrace_build_info", "gauge", "1, labelled with the version");
  out.sample(std::uint64_t{1},
             {{"version", parts_.version}, {"backend", parts_.streams.describe_backend()}});
  write_backend(out, parts_.streams.health_of_backend());
  write_counters(out, parts_.counters);
  if (auto streams = parts_.streams.list(); streams.ok()) write_streams(out, *streams);
  views_.write_metrics(out);

  out.family("millrace_source_statistic", "gauge",
             "a packet source's own counters, as it names them");
  if (parts_.sources) {
    for (const source_report& source : parts_.sources()) {
      for (const source_statistic& one : source.statistics)
        out.sample(one.value, {{"source", source.source}, {"name", one.name}});
    }
  }
  if (const http_server* server = server_.load(std::memory_order_acquire)) {
    const http_server_counters counters = server->counters();
    out.family("millrace_admin_requests_total", "counter", "requests to the admin port");
    out.sample(counters.requests);
    out.family("millrace_admin_connections_refused_total", "counter",
               "connections closed at once: too many");
    out.sample(counters.connections_refused);
    out.family("millrace_admin_connections", "gauge", "connections of the admin port");
    out.sample(counters.connections);
    out.family("millrace_admin_streams", "gauge", "event streams of the admin port");
    out.sample(counters.streams);
    out.family("millrace_admin_streams_refused_total", "counter",
               "event streams refused: too many");
    out.sample(counters.streams_refused);
    out.family("millrace_admin_streams_dropped_total", "counter",
               "event streams ended because their client took nothing for too long");
    out.sample(counters.streams_dropped);
  }
  if (parts_.more_metrics) parts_.more_metrics(out);
  write_process(out);

  http_response answer;
  answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
  answer.body = out.take();
  return answer;
}

}  // namespace millrace
