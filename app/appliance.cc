#include "app/appliance.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/http_metrics.h"
#include "app/keys_file.h"
#include "app/version.h"
#include "ingest/dpdk_port.h"
#include "ingest/udp_source.h"

namespace millrace {
namespace {

/// Arena of a door besides its receive buffers: reassembly, and packets handed over by other doors.
constexpr std::uint64_t door_fixed_bytes =
    std::uint64_t{limits::reassemblies_max} * (limits::record_bytes_max + 64 * limits::kib) +
    std::uint64_t{door_inbox::packets_max} * 64 * limits::kib + limits::mib;
constexpr std::uint64_t raw_fixed_bytes =
    std::uint64_t{raw_slabs_default} * raw_slab_bytes + 64 * limits::kib;
constexpr std::uint16_t udp_port_default = 4567;

flush_engine engine_of(const std::string& name) {
  if (name == "io_uring") return flush_engine::io_uring;
  return name == "threads" ? flush_engine::threads : flush_engine::automatic;
}

udp_address address_of(const host_port& where) {
  return {.host = where.host, .port = where.port};
}

/// The default quota of an account. Source: "Quotas and limits", Kinesis Developer Guide.
std::uint32_t aws_shard_limit(std::string_view region) {
  const bool is_large = region == "us-east-1" || region == "us-west-2" || region == "eu-west-1";
  return is_large ? 20'000 : 1'000;
}

}  // namespace

result<std::unique_ptr<appliance>> appliance::start(const serve_options& options) {
  std::unique_ptr<appliance> one(new appliance(options));
  MILLRACE_TRY(one->start_pipeline());
  MILLRACE_TRY(one->make_streams());
  MILLRACE_TRY(one->open_views());
  MILLRACE_TRY(one->open_doors());
  MILLRACE_TRY(one->start_kinesis());
  MILLRACE_TRY(one->start_admin());
  for (const auto& each : one->doors_)
    each->start();
  return one;
}

appliance::~appliance() {
  stop();
}

status appliance::start_pipeline() {
  if (!options_.keys.empty()) {
    MILLRACE_ASSIGN(keys_, load_keys_file(options_.keys));
    keys_.allows_unkeyed = options_.allow_unauthenticated;
  }
  const std::uint64_t http_bytes = options_.http != "off" ? options_.http_bytes : 0;
  MILLRACE_ASSIGN(arena memory, arena::create({.bytes = options_.arena_bytes + http_bytes}));
  memory_ = std::make_unique<arena>(std::move(memory));

  pipeline_options wanted;
  wanted.data_directory = options_.data;
  wanted.backend = options_.backend;
  for (const view_plan& plan : options_.views)
    wanted.folded_streams.push_back(plan.stream);
  wanted.record_memory = {memory_->base(), memory_->bytes()};
  wanted.engine = engine_of(options_.flush_engine);
  wanted.busy_poll = options_.busy_poll;
  wanted.log.segment_bytes = options_.segment_bytes;
  MILLRACE_ASSIGN(wanted.log.keyring, load_log_keyring(options_.keyring));
  wanted.log.ack = options_.ack == "written" ? durability::written : durability::durable;
  MILLRACE_ASSIGN(pipeline_, pipeline::open(wanted, recovered_));
  registry_.attach(counters_);
  registry_.attach(pipeline_->counters());
  counters_.set(gauge::arena_bytes, memory_->bytes());
  pipeline_->start();
  return {};
}

status appliance::make_streams() {
  retention_policy retention;
  retention.hours = static_cast<std::uint32_t>(options_.retention_hours);
  retention.bytes_max = options_.retention_bytes;
  retention.when_full =
      options_.when_full == "drop-oldest" ? full_policy::drop_oldest : full_policy::refuse;
  for (const std::string& text : options_.stream) {
    MILLRACE_ASSIGN(const wanted_stream wanted, parse_wanted_stream(text));
    if (pipeline_->describe(wanted.name).ok()) continue;
    MILLRACE_TRY(pipeline_->create_stream(wanted.name, wanted.shards, retention));
  }
  return {};
}

status appliance::open_views() {
  if (options_.views.empty()) return {};
  for (const view_plan& plan : options_.views) {
    if (pipeline_->describe(plan.stream).ok()) continue;
    return error(error_code::invalid_argument,
                 fmt::format("view '{}' is of stream '{}', which does not exist: make it first, or "
                             "with stream = [\"{}:SHARDS\"]",
                             plan.name, plan.stream, plan.stream));
  }
  view_service::options wanted;
  wanted.directory = options_.data + "/views";
  wanted.backend = options_.backend;
  wanted.plans = options_.views;
  MILLRACE_ASSIGN(views_, view_service::open(*pipeline_, wanted));
  registry_.attach(views_->counters());
  views_->start();
  return {};
}

status appliance::open_doors() {
  std::vector<raw_listener_options> raw;
  for (const std::string& text : options_.raw_udp) {
    MILLRACE_ASSIGN(raw_listener_options one, parse_raw_listener(text));
    raw.push_back(std::move(one));
  }
  // DPDK first: what it needs is fixed; the UDP doors share what is left.
  if (!options_.dpdk.empty()) MILLRACE_TRY(open_dpdk_doors(raw));
  const std::uint64_t udp_doors = options_.udp != "off" ? options_.doors : raw.empty() ? 0 : 1;
  if (udp_doors == 0) return {};

  const std::uint64_t kept = options_.http != "off" ? options_.http_bytes : 0;
  const std::uint64_t left = memory_->bytes() - memory_->carved_bytes() - kept;
  const std::uint64_t fixed = udp_doors * door_fixed_bytes + raw.size() * raw_fixed_bytes;
  const std::uint64_t least = udp_doors * 2 * udp_open_slabs * udp_slab_bytes;
  if (left < fixed + least)
    return error(error_code::invalid_argument,
                 fmt::format("arena_bytes {} is too small: {} UDP doors and {} raw listeners need "
                             "{} more",
                             options_.arena_bytes, udp_doors, raw.size(), fixed + least - left));
  return open_udp_doors(raw, (left - fixed) / udp_doors);
}

status appliance::open_udp_doors(const std::vector<raw_listener_options>& raw,
                                 std::uint64_t bytes_each) {
  udp_source_options wanted;
  wanted.slabs = static_cast<std::uint32_t>(bytes_each / udp_slab_bytes);
  const bool records = options_.udp != "off";
  const std::uint64_t count = records ? options_.doors : 1;
  wanted.share_ports = count > 1;
  if (records) {
    MILLRACE_ASSIGN(const host_port where, parse_host_port("udp", options_.udp));
    wanted.listen.push_back(address_of(where));
  }
  // Raw ports are the first door's alone: their senders are few and cannot be asked to go
  // elsewhere.
  for (const raw_listener_options& one : raw)
    wanted.listen.push_back({.host = one.host, .port = one.port});

  for (std::uint64_t i = 0; i < count; ++i) {
    MILLRACE_ASSIGN(auto source, udp_source::create(*memory_, wanted));
    if (i == 0) {
      const std::uint16_t first_raw = records ? 1 : 0;
      if (records) {
        endpoints_.udp = to_string(source->local(0));
        wanted.listen = {{.host = wanted.listen[0].host, .port = source->local(0).port}};
      }
      for (std::size_t r = 0; r < raw.size(); ++r)
        endpoints_.raw.push_back(fmt::format(
            "{} -> {}", to_string(source->local(static_cast<std::uint16_t>(first_raw + r))),
            raw[r].stream));
    }
    MILLRACE_TRY(add_door(std::move(source), i == 0 ? raw : std::vector<raw_listener_options>(),
                          std::uint64_t{wanted.slabs} * udp_slab_bytes));
  }
  return {};
}

status appliance::open_dpdk_doors(const std::vector<raw_listener_options>& raw) {
  dpdk_options wanted;
  wanted.eal_arguments = options_.dpdk;
  wanted.addresses = options_.dpdk_address;
  wanted.queues = static_cast<std::uint32_t>(options_.dpdk_queues);
  wanted.mtu = static_cast<std::uint32_t>(options_.dpdk_mtu);
  std::uint16_t port = udp_port_default;
  if (options_.udp != "off") {
    MILLRACE_ASSIGN(const host_port where, parse_host_port("udp", options_.udp));
    if (where.port != 0) port = where.port;
  }
  wanted.listen_ports.push_back(port);
  for (const raw_listener_options& one : raw)
    wanted.listen_ports.push_back(one.port);

  MILLRACE_ASSIGN(auto sources, open_dpdk_ports(wanted, *memory_));
  const std::uint64_t bytes_each = dpdk_queue_arena_bytes(wanted);
  for (auto& source : sources)
    MILLRACE_TRY(add_door(std::move(source), raw, bytes_each));
  return {};
}

status appliance::add_door(std::unique_ptr<packet_source> source,
                           const std::vector<raw_listener_options>& raw,
                           std::uint64_t buffer_bytes) {
  // A DPDK port is listened to for records in any case; a UDP source that has no such port begins
  // with the raw ones.
  const bool records = options_.udp != "off" || source->poll_fd() < 0;
  endpoints_.sources.push_back(source->describe());
  door_options wanted;
  wanted.server.door = static_cast<std::uint32_t>(doors_.size());
  wanted.server.keys = keys_;
  wanted.server.arena_bytes = buffer_bytes;
  wanted.busy_poll = options_.busy_poll;
  const door_parts parts{.memory = *memory_,
                         .sink = *pipeline_,
                         .cookies = cookies_,
                         .lookup = &pipeline_->results(),
                         .mesh = &mesh_};
  MILLRACE_ASSIGN(auto made, door::create(parts, std::move(source), wanted));
  registry_.attach(made->counters());
  std::uint16_t listener = records ? 1 : 0;
  for (const raw_listener_options& one : raw) {
    MILLRACE_ASSIGN(auto handler, raw_listener::create(one, raw_slabs_default, *memory_, *pipeline_,
                                                       made->filler(), made->counters()));
    made->set_handler(listener++, *handler);
    raw_listeners_.push_back(std::move(handler));
  }
  doors_.push_back(std::move(made));
  return {};
}

result<std::shared_ptr<const tls_identity>> appliance::load_identity() const {
  MILLRACE_ASSIGN(const std::string certificate,
                  read_file("TLS certificate", options_.tls_certificate));
  MILLRACE_ASSIGN(const std::string key, read_secret_file("TLS key", options_.tls_key));
  return tls_identity::create(certificate, key);
}

result<credential_set> appliance::load_credentials() const {
  if (options_.credentials.empty()) return credential_set();
  MILLRACE_ASSIGN(const std::string text,
                  read_secret_file("credentials file", options_.credentials));
  return parse_credentials(text, options_.credentials);
}

result<appliance::reloaded> appliance::reload() {
  reloaded out;
  if (!kinesis_) return out;
  std::shared_ptr<const tls_identity> identity;
  if (!options_.tls_certificate.empty()) {
    MILLRACE_ASSIGN(identity, load_identity());
  }
  MILLRACE_ASSIGN(credential_set keys, load_credentials());
  // Both are good: nothing can go wrong between them.
  if (identity) {
    out.certificate = identity->description();
    kinesis_->set_identity(std::move(identity));
  }
  out.credentials = keys.all.size();
  if (out.credentials > 0) kinesis_->set_credentials(std::move(keys));
  return out;
}

status appliance::start_kinesis() {
  if (options_.http == "off") return {};
  MILLRACE_ASSIGN(const host_port where, parse_host_port("http", options_.http));
  kinesis_port_options wanted;
  wanted.gate.host = where.host;
  wanted.gate.port = where.port;
  if (!options_.tls_certificate.empty()) {
    MILLRACE_ASSIGN(wanted.gate.tls, load_identity());
  }
  wanted.gate.plain_too = options_.plain_http;
  wanted.gate.cors_origins = options_.cors_origin;
  wanted.threads = static_cast<std::uint32_t>(options_.http_threads);
  wanted.body_bytes = options_.http_bytes;
  wanted.is_loopback = is_loopback(where);
  wanted.kinesis.region = options_.region;
  wanted.kinesis.account = options_.account;
  wanted.kinesis.compat_limits = options_.compat_limits == "on";
  if (wanted.kinesis.compat_limits) wanted.kinesis.shard_limit = aws_shard_limit(options_.region);
  wanted.kinesis.state_change_us = options_.state_change_ms * 1000;
  MILLRACE_ASSIGN(wanted.credentials, load_credentials());
  MILLRACE_ASSIGN(kinesis_, kinesis_port::start(wanted, *memory_, *pipeline_));
  for (const counter_set* each : kinesis_->counters())
    registry_.attach(*each);
  endpoints_.http = to_string(host_port{where.host, kinesis_->port()});
  return {};
}

status appliance::start_admin() {
  if (options_.admin == "off") return {};
  MILLRACE_ASSIGN(const host_port where, parse_host_port("admin", options_.admin));
  MILLRACE_ASSIGN(std::string token, load_or_make_admin_token(options_.data));
  const auto sources = [this] {
    std::vector<source_report> out;
    for (const auto& each : doors_)
      out.push_back({each->source().describe(), each->source().statistics()});
    return out;
  };
  const auto more = [this](metrics_text& out) {
    if (kinesis_) write_http_metrics(out, kinesis_->gate_counters());
  };
  admin_ = std::make_unique<admin>(admin_parts{.streams = *pipeline_,
                                               .counters = registry_,
                                               .sources = sources,
                                               .token = std::move(token),
                                               .version = version_text(),
                                               .is_loopback = is_loopback(where),
                                               .views = views_.get(),
                                               .more_metrics = more});
  http_server_options wanted;
  wanted.host = where.host;
  wanted.port = where.port;
  wanted.quick_paths = {"/healthz"};
  MILLRACE_ASSIGN(http_, http_server::start(wanted, [this](const http_request& request) {
                    return admin_->handle(request);
                  }));
  admin_->attach(*http_);
  endpoints_.admin = to_string(host_port{where.host, http_->port()});
  return {};
}

void appliance::begin_stopping() {
  if (admin_) admin_->begin_stopping();
}

void appliance::stop() {
  if (is_stopped_) return;
  is_stopped_ = true;
  begin_stopping();
  for (const auto& each : doors_)
    each->stop();
  if (kinesis_) kinesis_->stop();
  // Handlers may be asking the pipeline: they end before it does.
  if (http_) http_->stop();
  // Views read the log, and write their checkpoints while it is still there.
  if (views_) views_->stop();
  if (pipeline_) pipeline_->stop();
}

}  // namespace millrace
