#pragma once

#include <memory>
#include <optional>

#include "mpitrain/checkpoint/device_memory.hpp"

namespace mpitrain::checkpoint {

// The memory of GPU `device` (nullopt: the current one), made current in the calling thread.
// `training_stream`, a cudaStream_t, is where what is saved is computed; null: the default stream.
// Errors: unavailable (no GPU, no driver, built without CUDA), invalid_argument (no such GPU).
Result<std::unique_ptr<DeviceMemory>> open_cuda_memory(std::optional<int> device = {},
                                                       void* training_stream = nullptr);

}  // namespace mpitrain::checkpoint
