#include "assemble.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cores.hpp"
#include "links.hpp"

namespace mpitrain::topology {
namespace {

Result<void> limit_cpus(const CpuLimits& limits, Machine& machine) {
    if (limits.cpus) {
        machine.cpus &= *limits.cpus;
    }
    if (machine.cpus.empty()) {
        return Error(ErrorCode::unsatisfiable, "no CPU of this machine may be used")
            .mend("see taskset -p and the cgroup's cpuset");
    }
    std::vector<CpuSet> cores;
    for (CpuSet& core : machine.cores) {
        core &= machine.cpus;
        if (!core.empty()) {
            cores.push_back(std::move(core));
        }
    }
    machine.cores = std::move(cores);
    for (NumaNode& node : machine.numa_nodes) {
        node.cpus &= machine.cpus;
    }
    return {};
}

// The NUMA nodes a slot should know; all of a machine with several is the same as none.
std::vector<int> numa_of(const Accelerator& gpu, const Machine& machine) {
    const bool anywhere =
        machine.numa_nodes.size() > 1 && gpu.locality.numa.size() == machine.numa_nodes.size();
    return anywhere ? std::vector<int>() : gpu.locality.numa;
}

Slot slot_of(const Accelerator& gpu, std::size_t index, const Machine& machine) {
    Slot slot;
    slot.slot = SlotId(static_cast<int>(index));
    slot.kind = SlotKind::gpu;
    slot.gpus = {gpu.gpu};
    slot.numa = numa_of(gpu, machine);
    slot.cpus = gpu.cpus;
    slot.nics = gpu.nics;
    return slot;
}

void add_gpu_slots(const Machine& machine, std::vector<Accelerator>& gpus, NodeTopology& node) {
    const std::vector<Nic> nics = find_nics(machine);
    const bool flat = hides_pci_switches(machine, gpus, nics);
    split_cores(machine.cores, gpus);
    assign_nics(machine, nics, flat, gpus);
    node.links = find_links(machine, gpus, flat);
    for (std::size_t index = 0; index < gpus.size(); ++index) {
        node.slots.push_back(slot_of(gpus[index], index, machine));
        if (!gpus[index].locality.cpus.empty() &&
            !gpus[index].locality.cpus.intersects(machine.cpus)) {
            node.warnings.push_back(
                fmt::format("GPU {}: none of the cores near it may be used, so it gets others",
                            gpus[index].gpu.pci.to_string()));
        }
    }
    if (flat && (gpus.size() > 1 || !nics.empty())) {
        node.warnings.emplace_back(
            "this virtual machine hides its PCI switches: links between GPUs and their NICs are "
            "not known");
    }
    const auto unnamed = std::count_if(
        gpus.begin(), gpus.end(), [](const Accelerator& gpu) { return gpu.gpu.uuid.empty(); });
    if (unnamed > 0) {
        node.warnings.push_back(fmt::format(
            "{} of {} GPUs have no UUID: nothing here could tell it", unnamed, gpus.size()));
    }
}

}  // namespace

Result<NodeTopology> assemble(Machine machine,
                              std::vector<Accelerator> gpus,
                              const CpuLimits& limits,
                              Device wanted) {
    NodeTopology node;
    node.host = machine.host;
    node.warnings = machine.warnings;
    if (wanted == Device::gpu && gpus.empty()) {
        return Error(ErrorCode::unsatisfiable, "there is no GPU to use")
            .at(node.host)
            .mend(node.warnings.empty() ? "use --device cpu" : node.warnings.front());
    }
    MPITRAIN_TRY_VOID(limit_cpus(limits, machine));
    node.allowed = machine.cpus;
    node.cores = machine.cores;
    node.numa_nodes = machine.numa_nodes;
    if (limits.quota && *limits.quota < node.allowed.count()) {
        node.cpu_quota = limits.quota;
        node.pinning_allowed = false;
        node.warnings.push_back(
            fmt::format("a CPU quota of {:.4g} of {} CPUs: ranks are not pinned to cores",
                        *limits.quota,
                        node.allowed.count()));
    }
    if (gpus.empty() || wanted == Device::cpu) {
        node.slots = cpu_slots(node);
    } else {
        add_gpu_slots(machine, gpus, node);
    }
    return node;
}

}  // namespace mpitrain::topology
