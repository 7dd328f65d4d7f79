// A build without DPDK: the same functions, which say so.
#include "ingest/dpdk_port.h"

namespace millrace {
namespace {

error absent() {
  return error(error_code::unsupported,
               "this build has no DPDK; install libdpdk-dev and configure with -DMILLRACE_DPDK=ON");
}

}  // namespace

std::string dpdk_version() {
  return "none";
}

status start_dpdk(std::string_view) {
  return absent();
}

result<std::vector<std::unique_ptr<packet_source>>> open_dpdk_ports(const dpdk_options&, arena&) {
  return absent();
}

result<dpdk_ring_pair> open_dpdk_ring_pair(const dpdk_ring_options&, arena&) {
  return absent();
}

}  // namespace millrace
