#include "mpitrain/checkpoint/cuda_memory.hpp"

namespace mpitrain::checkpoint {

Result<std::unique_ptr<DeviceMemory>> open_cuda_memory(std::optional<int>, void*) {
    return Error(ErrorCode::unavailable, "this build has no CUDA")
        .mend("configure with -DMPITRAIN_CUDA=ON, or copy the tensors to the host first");
}

}  // namespace mpitrain::checkpoint
