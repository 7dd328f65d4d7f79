#pragma once
/// Which pages' scripts may use the gate (CORS): those of the origins that are configured.
#include <string>
#include <vector>

#include "api/http_gate.h"

namespace millrace {

/// Adds what lets the page that asks read the answer; nothing for other origins and for no page.
void add_cors(const std::vector<std::string>& origins, const gate_request& request,
              http_fields& headers);
/// Whether it is a browser's question before a request, by a page that may; then the answer is
/// preflight_answer() with add_cors().
bool is_preflight(const std::vector<std::string>& origins, const gate_request& request);
gate_answer preflight_answer();

/// "https://app.example.com" or "http://localhost:3000": as browsers send it in Origin.
bool is_origin(std::string_view text);

}  // namespace millrace
