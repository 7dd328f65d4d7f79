#pragma once
/// `millrace serve`: the appliance as a process: signals, readiness, what it prints.
#include "app/serve_options.h"

namespace millrace {

/// Runs until SIGTERM or SIGINT, then stops cleanly: not ready, no new sessions, flush, ack, exit
/// 0. A second signal ends the process at once. Returns the exit code.
int run_serve(const serve_options& options);

}  // namespace millrace
