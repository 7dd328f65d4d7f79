#pragma once
/// The Kinesis API on one port: gate, doors, workers and what they share.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/credentials.h"
#include "api/http_gate.h"
#include "api/kinesis_service.h"
#include "base/arena.h"
#include "base/counters.h"
#include "base/error.h"
#include "shards/pipeline.h"

namespace millrace {

struct kinesis_port_options {
  http_gate_options gate;
  std::uint32_t threads = 1;     ///< each a door with its own acceptor
  std::uint32_t workers = 4;     ///< for what may wait for the disk
  std::uint64_t body_bytes = 0;  ///< arena for all request bodies together
  bool is_loopback = true;       ///< then the Host header has to name this machine
  credential_set credentials;    ///< at the start; empty: every signature is good, for ever
  kinesis_options kinesis;
};

class kinesis_port {
 public:
  /// Carves its room from the arena and listens. Arena and pipeline outlive it.
  static result<std::unique_ptr<kinesis_port>> start(const kinesis_port_options& options,
                                                     arena& memory, pipeline& streams);
  virtual ~kinesis_port() = default;

  virtual std::uint16_t port() const = 0;
  virtual http_gate_counters gate_counters() const = 0;
  /// The TLS of connections from now on. Thread-safe.
  virtual void set_identity(std::shared_ptr<const tls_identity> identity) = 0;
  /// The keys of requests from now on; what is under way goes on under its own. Not without keys at
  /// the start. Thread-safe.
  virtual void set_credentials(credential_set keys) = 0;
  /// Of each door.
  virtual std::vector<const counter_set*> counters() const = 0;
  /// No new requests; what was taken becomes durable and is answered; threads end.
  virtual void stop() = 0;
};

}  // namespace millrace
