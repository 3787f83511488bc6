// Our own cluster files, short and long.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cluster_forms.hpp"
#include "mpitrain/base/host_list.hpp"
#include "mpitrain/base/number.hpp"

namespace mpitrain::sim {
namespace {

using jobfile::YamlEntry;
using jobfile::YamlNode;
using scheduler::ClusterSpec;
using scheduler::NodeSpec;
using scheduler::SlotType;

constexpr int nodes_max = 1'000'000;

Error wrong(std::string_view name,
            const YamlNode& node,
            std::string_view field,
            std::string_view what) {
    return Error(ErrorCode::invalid_argument, fmt::format("field '{}' {}", field, what))
        .at(jobfile::place(name, node));
}

Result<int> integer(
    std::string_view name, const YamlNode& node, std::string_view field, int low, int high) {
    const auto value = node.kind == YamlNode::Kind::scalar
                           ? parse_integer(node.text, low, high)
                           : Error(ErrorCode::invalid_argument, "no number");
    if (!value) {
        return wrong(name,
                     node,
                     field,
                     fmt::format("is '{}', no whole number from {} to {}", node.text, low, high));
    }
    return static_cast<int>(*value);
}

Result<int> integer_or(std::string_view name,
                       const YamlNode& parent,
                       std::string_view field,
                       int low,
                       int high,
                       int fallback) {
    const YamlNode* node = parent.find(field);
    return node == nullptr ? Result<int>(fallback) : integer(name, *node, field, low, high);
}

template <std::size_t Size>
Result<void> check_keys(std::string_view name,
                        const YamlNode& mapping,
                        const std::array<std::string_view, Size>& known) {
    for (const YamlEntry& entry : mapping.entries) {
        if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
            return Error(ErrorCode::invalid_argument, fmt::format("unknown field '{}'", entry.key))
                .at(jobfile::place(name, entry));
        }
    }
    return {};
}

std::string text_or(const YamlNode& parent, std::string_view field, std::string_view fallback) {
    const YamlNode* node = parent.find(field);
    return node == nullptr ? std::string(fallback) : node->text;
}

// The sizes of the leaves, which must add up to the nodes.
Result<std::vector<int>> leaf_sizes(std::string_view name, const YamlNode& document, int nodes) {
    std::vector<int> sizes;
    if (const YamlNode* leaves = document.find("leaves")) {
        int sum = 0;
        for (const YamlNode& item : leaves->items) {
            MPITRAIN_TRY(const int size, integer(name, item, "leaves", 1, nodes_max));
            sizes.push_back(size);
            sum = std::min(sum + size, nodes_max + 1);
        }
        if (sum != nodes) {
            return wrong(
                name, *leaves, "leaves", fmt::format("adds up to {} of {} nodes", sum, nodes));
        }
        return sizes;
    }
    MPITRAIN_TRY(const int each, integer_or(name, document, "nodes_per_leaf", 1, nodes_max, nodes));
    for (int left = nodes; left > 0; left -= each) {
        sizes.push_back(std::min(each, left));
    }
    return sizes;
}

Result<ClusterSpec> read_short(const YamlNode& document,
                               std::string_view name,
                               const NodeDefaults& defaults) {
    constexpr std::array<std::string_view, 8> known = {"nodes",
                                                       "gpus_per_node",
                                                       "gpu_type",
                                                       "cpus_per_node",
                                                       "leaves",
                                                       "nodes_per_leaf",
                                                       "leaves_per_block",
                                                       "name"};
    MPITRAIN_TRY_VOID(check_keys(name, document, known));
    MPITRAIN_TRY(const int nodes, integer(name, *document.find("nodes"), "nodes", 1, nodes_max));
    MPITRAIN_TRY(const int gpus,
                 integer_or(name,
                            document,
                            "gpus_per_node",
                            0,
                            scheduler::slots_per_node_max,
                            defaults.gpus_per_node));
    MPITRAIN_TRY(
        const int cpus,
        integer_or(name, document, "cpus_per_node", 1, 4096, scheduler::slots_per_node_max));
    MPITRAIN_TRY(const auto leaves, leaf_sizes(name, document, nodes));
    MPITRAIN_TRY(const int per_block,
                 integer_or(name, document, "leaves_per_block", 1, nodes_max, nodes_max));
    ClusterSpec cluster;
    cluster.nodes.reserve(static_cast<std::size_t>(nodes));
    for (std::size_t leaf = 0; leaf < leaves.size(); ++leaf) {
        for (int i = 0; i < leaves[leaf]; ++i) {
            cluster.nodes.push_back(
                {.name = fmt::format("n{}", cluster.nodes.size()),
                 .leaf = fmt::format("l{}", leaf),
                 .block = fmt::format("b{}", leaf / static_cast<std::size_t>(per_block)),
                 .gpu_type = text_or(document, "gpu_type", defaults.gpu_type),
                 .type = gpus > 0 ? SlotType::gpu : SlotType::cpu,
                 .slots = gpus > 0 ? gpus : std::min(cpus, scheduler::slots_per_node_max)});
        }
    }
    return cluster;
}

Result<ClusterSpec> read_long(const YamlNode& nodes,
                              std::string_view name,
                              const NodeDefaults& defaults) {
    constexpr std::array<std::string_view, 6> known = {
        "name", "gpus", "cpus", "gpu_type", "leaf", "block"};
    ClusterSpec cluster;
    for (const YamlNode& item : nodes.items) {
        if (item.kind != YamlNode::Kind::mapping || item.find("name") == nullptr) {
            return wrong(name, item, "nodes", "lists mappings with a name each");
        }
        MPITRAIN_TRY_VOID(check_keys(name, item, known));
        MPITRAIN_TRY(
            const int gpus,
            integer_or(
                name, item, "gpus", 0, scheduler::slots_per_node_max, defaults.gpus_per_node));
        MPITRAIN_TRY(const int cpus,
                     integer_or(name, item, "cpus", 1, 4096, scheduler::slots_per_node_max));
        auto hosts = expand_host_list(item.find("name")->text, nodes_max);
        if (!hosts) {
            return wrong(name, *item.find("name"), "name", hosts.error().what());
        }
        for (const std::string& host : *hosts) {
            cluster.nodes.push_back(
                {.name = host,
                 .leaf = text_or(item, "leaf", ""),
                 .block = text_or(item, "block", ""),
                 .gpu_type = text_or(item, "gpu_type", defaults.gpu_type),
                 .type = gpus > 0 ? SlotType::gpu : SlotType::cpu,
                 .slots = gpus > 0 ? gpus : std::min(cpus, scheduler::slots_per_node_max)});
        }
    }
    return cluster;
}

}  // namespace

Result<ClusterSpec> read_yaml_cluster(const YamlNode& document,
                                      std::string_view name,
                                      const NodeDefaults& defaults) {
    const YamlNode* nodes = document.find("nodes");
    if (nodes == nullptr) {
        return wrong(name, document, "nodes", "is missing");
    }
    if (nodes->kind == YamlNode::Kind::sequence) {
        return read_long(*nodes, name, defaults);
    }
    return read_short(document, name, defaults);
}

}  // namespace mpitrain::sim
