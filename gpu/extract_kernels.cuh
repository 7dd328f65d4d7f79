#pragma once
/// Fields out of the records of a block that is on the device.
#include <cuda_runtime.h>

#include "gpu/fold_records.cuh"

namespace millrace {

/// The fields of every record, the same that extract_record() gives on the CPU; the address of a
/// text is the device's. `program` has its tables on the device.
cudaError_t extract_fields(const fold_records& block, const extract_program& program,
                           const device_columns& out, cudaStream_t stream);

}  // namespace millrace
