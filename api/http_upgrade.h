#pragma once
/// HTTP/1.1's way into HTTP/2 without TLS: a request with Upgrade: h2c (RFC 7540, 3.2).
#include <optional>

#include "api/http_session.h"

namespace millrace {

/// All of the upgrade but the body and what follows it. Nothing when the request asks for none, or
/// not as it should: it is then answered in HTTP/1.1.
std::optional<http2_upgrade> upgrade_asked_for(const gate_request& request);

/// What such a request is answered before the first frame.
inline constexpr std::string_view switching_protocols =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

}  // namespace millrace
