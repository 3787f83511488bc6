#include "summary.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mpitrain::topology {
namespace {

std::string counted(std::size_t count, const char* noun) {
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace

bool has_gpu_slots(const NodeTopology& node) {
    return std::any_of(node.slots.begin(), node.slots.end(), [](const Slot& slot) {
        return slot.kind == SlotKind::gpu;
    });
}

std::string summary_of(const NodeTopology& node) {
    std::uint64_t memory = 0;
    for (const NumaNode& numa : node.numa_nodes) {
        memory += numa.memory.count();
    }
    std::string text = has_gpu_slots(node) ? counted(node.slots.size(), "GPU") + ", " : "";
    text += counted(node.cores.size(), "core");
    if (node.allowed.count() > static_cast<int>(node.cores.size())) {
        text += fmt::format(" ({} threads)", node.allowed.count());
    }
    text += ", " + counted(node.numa_nodes.size(), "NUMA node");
    if (memory > 0) {
        text += ", " + Bytes(memory).to_string();
    }
    return text;
}

std::string numa_text(const Slot& slot) {
    return slot.numa.empty() ? "any" : fmt::format("{}", fmt::join(slot.numa, ","));
}

int numa_holding(const NodeTopology& node, const CpuSet& cpus) {
    for (const NumaNode& numa : node.numa_nodes) {
        if (numa.cpus.includes(cpus)) {
            return numa.id;
        }
    }
    return -1;
}

std::string link_text(const Links& links, std::size_t row, std::size_t column) {
    if (row == column) {
        return {};
    }
    const auto& link_class = links.link_class[row][column];
    const int mb_s = links.bandwidth_mb_s[row][column].value_or(0);
    std::string text = link_class ? std::string(to_string(*link_class)) : "?";
    if (mb_s > 0) {
        text += fmt::format(" {}", (mb_s + 500) / 1000);
    }
    return text;
}

}  // namespace mpitrain::topology
