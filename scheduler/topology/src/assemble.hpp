#pragma once

#include "accelerator.hpp"
#include "limits.hpp"
#include "machine.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/model/placement.hpp"
#include "mpitrain/model/topology.hpp"

namespace mpitrain::topology {

// From what was seen to what may be used: limits the cores, divides them among the GPUs, finds
// links and NICs and lays out the slots. Pure. Errors: unsatisfiable (`wanted` is gpu and there is
// none; no CPU is left).
Result<NodeTopology> assemble(Machine machine,
                              std::vector<Accelerator> gpus,
                              const CpuLimits& limits,
                              Device wanted);

}  // namespace mpitrain::topology
