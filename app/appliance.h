#pragma once
/// The appliance, wired: arena, doors, pipeline, views and admin port, from one set of options.
/// Used by `millrace serve`, and in-process by tests.
#include <memory>
#include <string>
#include <vector>

#include "analytics/view_service.h"
#include "api/admin.h"
#include "api/http_server.h"
#include "api/kinesis_port.h"
#include "app/parse.h"
#include "app/serve_options.h"
#include "base/arena.h"
#include "base/counters.h"
#include "base/error.h"
#include "ingest/cookie.h"
#include "ingest/door.h"
#include "ingest/door_mesh.h"
#include "ingest/raw_listener.h"
#include "shards/pipeline.h"

namespace millrace {

/// Where it can be reached, with the ports that were really bound.
struct appliance_endpoints {
  std::string udp;                   ///< "127.0.0.1:4567"; empty: no UDP door
  std::string http;                  ///< "127.0.0.1:4567"; empty: no Kinesis API
  std::string admin;                 ///< "127.0.0.1:9644"; empty: no admin port
  std::vector<std::string> raw;      ///< "127.0.0.1:5514 -> logs"
  std::vector<std::string> sources;  ///< as the packet sources describe themselves
};

class appliance {
 public:
  /// Recovers the data directory, makes the wanted streams that are missing, opens the doors. The
  /// calling thread's signal mask is that of all its threads.
  static result<std::unique_ptr<appliance>> start(const serve_options& options);
  ~appliance();

  /// What was read again.
  struct reloaded {
    std::string certificate;      ///< whose it is; empty: there is no TLS
    std::size_t credentials = 0;  ///< access keys; 0: there is no file of them
  };
  /// Reads the files of the TLS certificate, its key and the credentials again: connections and
  /// requests from now on get them. When one of them is no good, all of those in use stay.
  result<reloaded> reload();
  /// From now on /readyz says 503; everything still works.
  void begin_stopping();
  /// No new sessions and records; what is in flight becomes durable and is acked; threads end.
  void stop();

  const appliance_endpoints& endpoints() const { return endpoints_; }
  const std::vector<recovered_stream>& recovered() const { return recovered_; }
  const arena& memory() const { return *memory_; }
  pipeline& streams() { return *pipeline_; }
  const counter_registry& counters() const { return registry_; }

 private:
  explicit appliance(const serve_options& options) : options_(options) {}
  status start_pipeline();
  status make_streams();
  status open_views();
  status open_doors();
  status open_udp_doors(const std::vector<raw_listener_options>& raw, std::uint64_t bytes_each);
  status open_dpdk_doors(const std::vector<raw_listener_options>& raw);
  status add_door(std::unique_ptr<packet_source> source,
                  const std::vector<raw_listener_options>& raw, std::uint64_t buffer_bytes);
  status start_kinesis();
  result<std::shared_ptr<const tls_identity>> load_identity() const;
  result<credential_set> load_credentials() const;
  status start_admin();

  // In the order of construction; destroyed the other way round.
  const serve_options options_;
  appliance_endpoints endpoints_;
  std::vector<recovered_stream> recovered_;
  counter_registry registry_;
  counter_set counters_;
  keyring keys_;
  cookie_maker cookies_;
  std::unique_ptr<arena> memory_;
  std::unique_ptr<pipeline> pipeline_;
  std::unique_ptr<view_service> views_;
  door_mesh mesh_;
  std::vector<std::unique_ptr<door>> doors_;
  std::vector<std::unique_ptr<raw_listener>> raw_listeners_;
  std::unique_ptr<kinesis_port> kinesis_;
  std::unique_ptr<admin> admin_;
  std::unique_ptr<http_server> http_;
  bool is_stopped_ = false;
};

}  // namespace millrace
