#include "api/kinesis_port.h"

#include "api/kinesis_door.h"

namespace millrace {
namespace {

/// Beyond that the workers are far behind, and a client does better to come again.
constexpr std::size_t waiting_jobs_max = 4096;

class port_parts final : public kinesis_port {
 public:
  port_parts(const kinesis_port_options& options, pipeline& streams, token_maker tokens,
             std::unique_ptr<body_pool> bodies)
      : options_(options),
        tokens_(tokens),
        bodies_(std::move(bodies)),
        registry_(streams),
        service_{.streams = streams,
                 .registry = registry_,
                 .tokens = tokens_,
                 .options = options_.kinesis,
                 .quotas = options.kinesis.compat_limits ? &quotas_ : nullptr,
                 .spare = *options_.gate.spare},
        credentials_(options.credentials),
        workers_(options.workers, waiting_jobs_max) {
    kinesis_door_options wanted;
    wanted.check_host = options.is_loopback && options.credentials.all.empty();
    for (std::uint32_t i = 0; i < options.threads; ++i)
      doors_.push_back(std::make_unique<kinesis_door>(
          kinesis_door_parts{
              .service = service_,
              .sink = streams,
              .workers = workers_,
              .subscriptions = subscriptions_,
              .credentials = options.credentials.all.empty() ? nullptr : &credentials_,
              .unsent = *options_.gate.unsent},
          wanted));
  }
  ~port_parts() override { stop(); }

  status open() {
    MILLRACE_TRY(registry_.load());
    std::vector<http_agent*> agents;
    for (const auto& one : doors_)
      agents.push_back(one.get());
    MILLRACE_ASSIGN(gate_, http_gate::start(options_.gate, agents, *bodies_));
    return {};
  }

  std::uint16_t port() const override { return gate_->port(); }
  http_gate_counters gate_counters() const override { return gate_->counters(); }
  void set_identity(std::shared_ptr<const tls_identity> identity) override {
    gate_->set_identity(std::move(identity));
  }
  void set_credentials(credential_set keys) override { credentials_.replace(std::move(keys)); }
  std::vector<const counter_set*> counters() const override {
    std::vector<const counter_set*> out;
    for (const auto& one : doors_)
      out.push_back(&one->counters());
    return out;
  }
  void stop() override {
    if (gate_) gate_->stop();
    workers_.stop();
  }

 private:
  const kinesis_port_options options_;
  const token_maker tokens_;
  const std::unique_ptr<body_pool> bodies_;
  kinesis_registry registry_;
  quota_book quotas_;
  const kinesis_service service_;
  credential_store credentials_;
  worker_pool workers_;
  subscription_book subscriptions_;
  std::vector<std::unique_ptr<kinesis_door>> doors_;
  std::unique_ptr<http_gate> gate_;
};

}  // namespace

result<std::unique_ptr<kinesis_port>> kinesis_port::start(const kinesis_port_options& options,
                                                          arena& memory, pipeline& streams) {
  MILLRACE_ASSIGN(const token_maker tokens, token_maker::open(streams));
  MILLRACE_ASSIGN(auto bodies, body_pool::create(memory, options.body_bytes));
  auto one = std::make_unique<port_parts>(options, streams, tokens, std::move(bodies));
  MILLRACE_TRY(one->open());
  return std::unique_ptr<kinesis_port>(std::move(one));
}

}  // namespace millrace
