#pragma once

#include <string>
#include <vector>

#include "mpitrain/model/topology.hpp"

// Small machines to place on, built in memory.
namespace mpitrain::scheduler::test {

// `gpus` GPU slots of 4 cores each, GPU i on NUMA node numa[i], no links known.
inline NodeTopology gpu_node(const std::vector<int>& numa, const std::string& model = "NVIDIA T1") {
    NodeTopology node;
    node.host = "gpu-node";
    const auto count = numa.size();
    for (std::size_t index = 0; index < count; ++index) {
        const int first = static_cast<int>(index) * 4;
        Slot slot;
        slot.slot = SlotId(static_cast<int>(index));
        slot.kind = SlotKind::gpu;
        slot.gpus.push_back({"GPU-" + std::to_string(index),
                             {0, static_cast<unsigned>(index + 1), 0, 0},
                             model,
                             Vendor::nvidia});
        slot.numa = {numa[index]};
        slot.cpus = CpuSet::range(first, first + 3);
        for (int core = first; core < first + 4; ++core) {
            node.cores.push_back(CpuSet::of({core}));
        }
        node.slots.push_back(slot);
    }
    node.allowed = CpuSet::range(0, static_cast<int>(count) * 4 - 1);
    node.links.bandwidth_mb_s.assign(count, std::vector<std::optional<int>>(count));
    node.links.link_class.assign(count, std::vector<std::optional<LinkClass>>(count));
    return node;
}

inline void link(NodeTopology& node, std::size_t a, std::size_t b, LinkClass kind, int mb_s = 0) {
    for (const auto& [row, column] : {std::pair(a, b), std::pair(b, a)}) {
        node.links.link_class[row][column] = kind;
        if (mb_s > 0) {
            node.links.bandwidth_mb_s[row][column] = mb_s;
        }
    }
}

// Eight V100 in a hybrid cube mesh: two fully linked boards of four, one cross link for each GPU.
inline NodeTopology cube_mesh() {
    NodeTopology node = gpu_node({0, 0, 0, 0, 1, 1, 1, 1});
    for (std::size_t a = 0; a < 8; ++a) {
        for (std::size_t b = a + 1; b < 8; ++b) {
            link(node, a, b, a / 4 == b / 4 ? LinkClass::node : LinkClass::sys);
        }
    }
    const std::vector<std::pair<std::size_t, std::size_t>> doubles = {
        {0, 3}, {0, 4}, {1, 2}, {1, 5}, {2, 3}, {4, 7}, {5, 6}, {6, 7}};
    const std::vector<std::pair<std::size_t, std::size_t>> singles = {
        {0, 1}, {0, 2}, {1, 3}, {2, 6}, {3, 7}, {4, 5}, {4, 6}, {5, 7}};
    for (const auto& [a, b] : doubles) {
        link(node, a, b, LinkClass::nvl, 50000);
    }
    for (const auto& [a, b] : singles) {
        link(node, a, b, LinkClass::nvl, 25000);
    }
    return node;
}

// All GPUs behind NVLink switches, four on each NUMA node.
inline NodeTopology switched(std::size_t gpus) {
    std::vector<int> numa;
    for (std::size_t index = 0; index < gpus; ++index) {
        numa.push_back(static_cast<int>(index * 2 / gpus));
    }
    NodeTopology node = gpu_node(numa);
    for (std::size_t a = 0; a < gpus; ++a) {
        node.slots[a].nics = {"mlx5_" + std::to_string(a)};
        for (std::size_t b = a + 1; b < gpus; ++b) {
            link(node, a, b, LinkClass::nvl, 450000);
        }
    }
    return node;
}

// Two GPUs a PCI switch, two switches a socket, nothing else.
inline NodeTopology pcie_tree() {
    NodeTopology node = gpu_node({0, 0, 0, 0, 1, 1, 1, 1});
    for (std::size_t a = 0; a < 8; ++a) {
        for (std::size_t b = a + 1; b < 8; ++b) {
            link(node,
                 a,
                 b,
                 a / 2 == b / 2   ? LinkClass::pix
                 : a / 4 == b / 4 ? LinkClass::node
                                  : LinkClass::sys);
        }
    }
    return node;
}

// `cores` cores of two hardware threads (n and n + cores), divided evenly among NUMA nodes.
inline NodeTopology cpu_node(int cores, int numa_nodes = 1) {
    NodeTopology node;
    node.host = "cpu-node";
    for (int numa = 0; numa < numa_nodes; ++numa) {
        NumaNode memory;
        memory.id = numa;
        const int first = cores * numa / numa_nodes;
        const int last = cores * (numa + 1) / numa_nodes - 1;
        memory.cpus = CpuSet::range(first, last) | CpuSet::range(first + cores, last + cores);
        node.numa_nodes.push_back(memory);
    }
    for (int core = 0; core < cores; ++core) {
        node.cores.push_back(CpuSet::of({core, core + cores}));
    }
    node.allowed = CpuSet::range(0, 2 * cores - 1);
    node.slots = cpu_slots(node);
    return node;
}

inline std::vector<SlotId> ids(const std::vector<int>& values) {
    std::vector<SlotId> result;
    for (const int value : values) {
        result.emplace_back(value);
    }
    return result;
}

}  // namespace mpitrain::scheduler::test
