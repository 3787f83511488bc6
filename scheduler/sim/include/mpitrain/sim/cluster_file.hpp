#pragma once

#include <string_view>

#include "mpitrain/base/result.hpp"
#include "mpitrain/scheduler/cluster_spec.hpp"

namespace mpitrain::sim {

// For descriptions that name nodes but not what is in them.
struct NodeDefaults {
    int gpus_per_node = 8;
    std::string_view gpu_type = {};
};

// Reads a cluster in any of these forms, told apart by their content:
//   our YAML, short     nodes: 160 · gpus_per_node: 8 · gpu_type · leaves: [8, 8, 6] or
//   nodes_per_leaf
//                       · leaves_per_block
//   our YAML, long      nodes: a list of {name: "a[0-7]", gpus, gpu_type, leaf, block}
//   a topograph model   switches: and blocks:; the lowest switch is the leaf, the one above the
//   block topology.conf       of Slurm, tree (SwitchName=) or block (BlockName=) CSV a header
//   naming node or host, and any of leaf, spine or block, gpus, gpu_type
// Nodes without GPUs are left out. Errors: invalid_argument at "name:line", naming the field.
Result<scheduler::ClusterSpec> read_cluster(std::string_view text,
                                            std::string_view name,
                                            const NodeDefaults& defaults);

}  // namespace mpitrain::sim
