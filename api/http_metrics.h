#pragma once
/// The gate's counters for /metrics.
#include "api/http_gate.h"
#include "api/metrics_text.h"

namespace millrace {

void write_http_metrics(metrics_text& out, const http_gate_counters& counts);

}  // namespace millrace
