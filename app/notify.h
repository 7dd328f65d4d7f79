#pragma once
/// systemd's readiness protocol: a datagram to the socket that $NOTIFY_SOCKET names. Nothing
/// happens without it.
#include <string_view>

namespace millrace {

/// `state`: "READY=1", "STOPPING=1", "STATUS=…".
void notify_service_manager(std::string_view state);

}  // namespace millrace
