#pragma once

#include <vector>

#include "accelerator.hpp"
#include "mpitrain/base/cpu_set.hpp"

namespace mpitrain::topology {

// Divides the cores near each GPU among the GPUs they are near to: whole cores, disjoint, as evenly
// as locality allows, contiguous where GPUs share a place. A GPU without a known place, or with
// none of its own cores allowed, draws from all. Cores near no GPU are left to others. Fills
// Accelerator::cpus; stable.
void split_cores(const std::vector<CpuSet>& cores, std::vector<Accelerator>& gpus);

}  // namespace mpitrain::topology
