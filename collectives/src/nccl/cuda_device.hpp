#pragma once

#include <memory>
#include <optional>

#include "nccl/device.hpp"

namespace mpitrain::collectives {

// The GPU `device` (nullopt: the current one), made current, with `stream`, or a stream of its own.
// Errors: unavailable (no GPU or driver), invalid_argument (no such GPU).
Result<std::unique_ptr<Device>> open_cuda_device(std::optional<int> device, void* stream);

}  // namespace mpitrain::collectives
