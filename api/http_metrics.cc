#include "api/http_metrics.h"

#include "api/kinesis_actions.h"

namespace millrace {

void write_http_metrics(metrics_text& out, const http_gate_counters& counts) {
  const auto one = [&](std::string_view name, std::string_view type, std::string_view help,
                       std::uint64_t value) {
    out.family(name, type, help);
    out.sample(value);
  };
  one("millrace_http_requests_total", "counter", "requests read whole", counts.requests);
  out.family("millrace_http_answers_total", "counter",
             "answers by action (none: refused before it was known) and status");
  for (const http_gate_counters::answer_count& each : counts.answers)
    out.sample(each.count, {{"action", action_name_of(each.label)},
                            {"status", each.status == 0 ? "other" : std::to_string(each.status)}});
  one("millrace_http_requests_refused_total", "counter",
      "requests refused by their form or size, or for want of room", counts.requests_refused);
  one("millrace_http_bodies_refused_total", "counter",
      "of these, because the body was too large or found no room", counts.bodies_refused);
  one("millrace_http_connections", "gauge", "connections open", counts.connections);
  one("millrace_http_connections_refused_total", "counter", "connections closed at once: too many",
      counts.connections_refused);
  one("millrace_http_timeouts_total", "counter",
      "connections and HTTP/2 streams ended because nothing went on", counts.timeouts);
  one("millrace_http_handshakes_total", "counter", "TLS handshakes that went well",
      counts.handshakes);
  one("millrace_http_handshakes_failed_total", "counter", "TLS handshakes that did not",
      counts.handshakes_failed);
  one("millrace_http_handshakes_refused_total", "counter",
      "connections closed because too many TLS handshakes were under way",
      counts.handshakes_refused);
  one("millrace_http_unsent_bytes", "gauge", "bytes of answers that clients have not taken yet",
      counts.unsent_bytes);
  one("millrace_http_bytes_received_total", "counter", "bytes received, without what TLS adds",
      counts.bytes_received);
  one("millrace_http_bytes_sent_total", "counter", "bytes sent, without what TLS adds",
      counts.bytes_sent);
}

}  // namespace millrace
