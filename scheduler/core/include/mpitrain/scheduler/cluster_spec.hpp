#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/model/topology.hpp"

namespace mpitrain::scheduler {

// A node's slots are one machine word of bits: 64 GPUs, or 64 shares of its cores.
inline constexpr int slots_per_node_max = 64;

enum class SlotType : std::uint8_t { gpu, cpu };

// One machine as the core sees it. Nodes of one type, slot count and model are alike: which of
// their slots a job gets is decided by one table.
struct NodeSpec {
    std::string name = {};
    std::string leaf = {};      // the switch it hangs on; unique together with `block`
    std::string block = {};     // the group of leaves
    std::string gpu_type = {};  // lower case; empty = unnamed
    SlotType type = SlotType::gpu;
    int slots = 8;
    // What is inside, by name in ClusterSpec::models: a part of such a node is chosen by its links
    // (choose_slots). Empty = nobody knows, and neighbours by number are kept together.
    std::string model = {};
    bool operator==(const NodeSpec&) const = default;
};

// A cluster: NodeId n is nodes[n]. Block, leaf and node order are those of first appearance.
struct ClusterSpec {
    std::vector<NodeSpec> nodes;
    std::map<std::string, NodeTopology> models = {};  // slots 0, 1, … of its `slots`
    bool operator==(const ClusterSpec&) const = default;
};

// Errors: invalid_argument (no node, a name twice or empty, slots outside 1..slots_per_node_max, a
// model that is not there or has another number of slots).
Result<void> validate(const ClusterSpec& cluster);

// `nodes` equal nodes named n0, n1, …; nodes_per_leaf 0 = one leaf; leaves_per_block 0 = one block.
struct UniformCluster {
    int nodes = 1;
    int slots_per_node = 8;
    int nodes_per_leaf = 0;
    int leaves_per_block = 0;
    std::string gpu_type = {};
};
ClusterSpec uniform_cluster(const UniformCluster& shape);

}  // namespace mpitrain::scheduler
