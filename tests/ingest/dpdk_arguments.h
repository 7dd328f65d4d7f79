#pragma once
/// DPDK starts once in a process: the tests of one program share these.

namespace millrace::test {

/// No huge pages, no files, no devices of the machine: as any user, in any container.
inline constexpr const char* dpdk_arguments =
    "--no-huge -m 128 --no-shconf --no-pci --no-telemetry --log-level=error";

}  // namespace millrace::test
