#include "mpitrain/scheduler/cluster_spec.hpp"

#include <fmt/format.h>

#include <bit>
#include <unordered_set>

#include "mpitrain/scheduler/gang_request.hpp"

namespace mpitrain::scheduler {

std::string_view to_string(Level level) {
    switch (level) {
        case Level::node:
            return "node";
        case Level::leaf:
            return "leaf";
        case Level::block:
            return "block";
        case Level::cluster:
            return "cluster";
    }
    return "?";
}

int slot_count(const Allocation& allocation) {
    int count = 0;
    for (const NodeSlots& piece : allocation) {
        count += std::popcount(piece.slots);
    }
    return count;
}

Result<void> validate(const ClusterSpec& cluster) {
    if (cluster.nodes.empty()) {
        return Error(ErrorCode::invalid_argument, "a cluster needs at least one node");
    }
    std::unordered_set<std::string_view> names;
    for (const NodeSpec& node : cluster.nodes) {
        if (node.name.empty()) {
            return Error(ErrorCode::invalid_argument, "a node has no name");
        }
        if (!names.insert(node.name).second) {
            return Error(ErrorCode::invalid_argument,
                         fmt::format("node '{}' is listed twice", node.name));
        }
        if (node.slots < 1 || node.slots > slots_per_node_max) {
            return Error(ErrorCode::invalid_argument,
                         fmt::format("node '{}' has {} slots, allowed are 1 to {}",
                                     node.name,
                                     node.slots,
                                     slots_per_node_max));
        }
        const auto model = cluster.models.find(node.model);
        if (!node.model.empty() && (model == cluster.models.end() ||
                                    static_cast<int>(model->second.slots.size()) != node.slots)) {
            return Error(ErrorCode::invalid_argument,
                         fmt::format("node '{}' is of the model '{}', which is not described with "
                                     "its {} slots",
                                     node.name,
                                     node.model,
                                     node.slots));
        }
    }
    return {};
}

ClusterSpec uniform_cluster(const UniformCluster& shape) {
    ClusterSpec cluster;
    cluster.nodes.reserve(static_cast<std::size_t>(shape.nodes));
    for (int index = 0; index < shape.nodes; ++index) {
        const int leaf = shape.nodes_per_leaf > 0 ? index / shape.nodes_per_leaf : 0;
        const int block = shape.leaves_per_block > 0 ? leaf / shape.leaves_per_block : 0;
        cluster.nodes.push_back({.name = fmt::format("n{}", index),
                                 .leaf = fmt::format("l{}", leaf),
                                 .block = fmt::format("b{}", block),
                                 .gpu_type = shape.gpu_type,
                                 .slots = shape.slots_per_node});
    }
    return cluster;
}

}  // namespace mpitrain::scheduler
