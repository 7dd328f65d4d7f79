#include "app/serve.h"

#include <csignal>
#include <cstdio>

#include <fmt/format.h>

#include "app/appliance.h"
#include "app/log.h"
#include "app/notify.h"
#include "app/version.h"

namespace millrace {
namespace {

/// SIGTERM, SIGINT and SIGHUP, taken by this thread alone: blocked before any other thread exists.
class own_signals {
 public:
  own_signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }

  /// Calls `reload` at each SIGHUP, until the first of the others; a second one of those ends the
  /// process at once.
  template <class Reload>
  std::string wait(Reload reload) {
    int which = 0;
    while (sigwait(&set_, &which) != 0 || which == SIGHUP) {
      if (which == SIGHUP) reload();
      which = 0;
    }
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
    return which == SIGTERM ? "SIGTERM" : "SIGINT";
  }

 private:
  sigset_t set_{};
};

void log_recovery(const std::vector<recovered_stream>& streams) {
  for (const recovered_stream& one : streams) {
    const recovery_report& report = one.report;
    log_event(log_level::info, "recovered",
              {{"stream", one.name},
               {"segments", std::to_string(report.segments)},
               {"blocks_scanned", std::to_string(report.blocks_scanned)},
               {"bytes_cut", std::to_string(report.bytes_cut)}});
    for (const damage& part : report.damaged)
      log_event(log_level::warning, "damaged log, skipped",
                {{"stream", one.name},
                 {"file", part.path},
                 {"from", std::to_string(part.from)},
                 {"to", std::to_string(part.to)},
                 {"what", part.what}});
  }
}

void print_endpoints(const serve_options& options, appliance& running) {
  const appliance_endpoints& at = running.endpoints();
  fmt::print("millrace {}\n", version_text());
  fmt::print("data   {}  (ack when {}, {}, {} arena in {})\n", options.data, options.ack,
             running.streams().describe_backend(), bytes_text(running.memory().bytes()),
             running.memory().page_kind());
  if (!at.udp.empty()) fmt::print("udp    {}\n", at.udp);
  if (!at.http.empty())
    fmt::print("http   {}://{}  (Kinesis API)\n",
               options.tls_certificate.empty() ? "http" : "https", at.http);
  for (const std::string& one : at.raw)
    fmt::print("raw    {}  (lossy)\n", one);
  for (const std::string& one : at.sources) {
    if (one.starts_with("dpdk")) fmt::print("dpdk   {}\n", one);
  }
  if (!at.admin.empty()) fmt::print("admin  http://{}\n", at.admin);

  const auto streams = running.streams().list();
  if (streams.ok() && !streams->empty()) {
    fmt::print(
        "try    millrace produce --to udp://{} --stream {} --generate clicks --records 100000\n",
        at.udp.empty() ? "ADDRESS:PORT" : at.udp, streams->front().description.name);
  } else {
    fmt::print("try    millrace stream create demo --shards 4 --admin {} --data {}\n", at.admin,
               options.data);
  }
  std::fflush(stdout);
}

void reload(appliance& running) {
  const auto now = running.reload();
  if (!now.ok())
    return log_event(log_level::error, "not reloaded, what is in use stays",
                     {{"reason", now.failure().message()}});
  log_event(log_level::info, "reloaded",
            {{"certificate", now->certificate.empty() ? "none" : now->certificate},
             {"access_keys", now->credentials == 0 ? "none" : std::to_string(now->credentials)}});
}

}  // namespace

int run_serve(const serve_options& options) {
  start_log(options.log_level, options.log_format);
  own_signals signals;
  auto started = appliance::start(options);
  if (!started.ok()) {
    const error& failure = started.failure();
    log_event(log_level::error, "cannot start",
              {{"code", std::string(to_string(failure.code()))}, {"reason", failure.message()}});
    const bool bad_setting =
        failure.code() == error_code::invalid_argument || failure.code() == error_code::permission;
    return bad_setting ? 78 : 1;
  }
  appliance& running = **started;
  log_recovery(running.recovered());
  print_endpoints(options, running);
  log_event(log_level::info, "ready",
            {{"version", version_text()},
             {"udp", running.endpoints().udp},
             {"http", running.endpoints().http},
             {"admin", running.endpoints().admin}});
  notify_service_manager("READY=1");

  const std::string why = signals.wait([&] { reload(running); });
  notify_service_manager("STOPPING=1");
  log_event(log_level::info, "stopping", {{"signal", why}});
  running.begin_stopping();
  running.stop();
  log_event(log_level::info, "stopped");
  return 0;
}

}  // namespace millrace
