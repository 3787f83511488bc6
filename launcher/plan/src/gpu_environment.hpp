#pragma once

#include <string>
#include <vector>

#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/model/placement.hpp"
#include "mpitrain/model/topology.hpp"

namespace mpitrain {

// The rank's GPUs in slot order, by UUID, or by slot number where the machine could not tell one.
std::vector<std::string> gpu_names(const NodeTopology& node, const RankPlacement& rank);

// Sets CUDA_VISIBLE_DEVICES or ROCR_VISIBLE_DEVICES for one of a node's ranks (CONTRACT section 2).
// A rank without GPUs on a machine that has some sees none. `ranks` are all of the job on this
// node, by local rank.
void add_gpu_environment(EnvironmentMap& env,
                         const NodeTopology& node,
                         const std::vector<const RankPlacement*>& ranks,
                         LocalRank local_rank,
                         GpuVisibility visibility);

}  // namespace mpitrain
