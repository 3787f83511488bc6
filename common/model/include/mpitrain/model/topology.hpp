#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/bytes.hpp"
#include "mpitrain/base/cpu_set.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/base/strong_id.hpp"

namespace mpitrain {

enum class Vendor : std::uint8_t { nvidia, amd, intel, other };
std::string_view to_string(Vendor vendor);

// A PCI address. Ordered numerically, which is the order of NVML indices and of our GPU slots.
struct PciAddress {
    std::uint32_t domain = 0;
    std::uint32_t bus = 0;
    std::uint32_t device = 0;
    std::uint32_t function = 0;

    // "0000:1b:00.0", also with an eight-digit domain or none. Errors: invalid_argument.
    static Result<PciAddress> parse(std::string_view text);
    [[nodiscard]] std::string to_string() const;
    auto operator<=>(const PciAddress&) const = default;
};

// One accelerator. `uuid` is empty where nothing on the machine could tell it.
struct Gpu {
    std::string uuid;
    PciAddress pci;
    std::string model;
    Vendor vendor = Vendor::other;
    bool operator==(const Gpu&) const = default;
};

enum class SlotKind : std::uint8_t { gpu, cpu };
std::string_view to_string(SlotKind kind);

// The unit of placement: one GPU with its share of the cores near it, or, without GPUs, one core.
struct Slot {
    SlotId slot;
    SlotKind kind = SlotKind::cpu;
    std::vector<Gpu> gpus;  // one for a GPU slot, none for a CPU slot
    std::vector<int> numa;  // NUMA nodes near it by OS number, nearest first; empty = anywhere
    CpuSet cpus;  // its share, disjoint from every other slot's; may be empty on odd machines
    std::vector<std::string> nics;  // RDMA devices nearest to it, for example mlx5_0
    bool operator==(const Slot&) const = default;
};

// How two GPUs reach each other, nearest first, in the words of `nvidia-smi topo -m`.
enum class LinkClass : std::uint8_t { nvl, pix, pxb, phb, node, sys };
std::string_view to_string(LinkClass link_class);  // "NVL", "PIX", …

// Square over the GPU slots of a node, empty for CPU slots. nullopt = unknown; the diagonal is
// nullopt.
struct Links {
    std::vector<std::vector<std::optional<int>>>
        bandwidth_mb_s;  // per direction, links summed, switches closed over
    std::vector<std::vector<std::optional<LinkClass>>> link_class;
    bool operator==(const Links&) const = default;
};

// A NUMA node that holds ordinary memory.
struct NumaNode {
    int id = 0;  // operating-system number
    CpuSet cpus;
    Bytes memory;
    bool operator==(const NumaNode&) const = default;
};

// One machine as the scheduler sees it, already limited to what this process may use (affinity,
// cpuset, device cgroup, CUDA_VISIBLE_DEVICES).
struct NodeTopology {
    std::string host;
    std::vector<Slot> slots;  // GPU slots in PCI order, or one CPU slot per core
    Links links;
    std::vector<CpuSet> cores;  // the hardware threads of each allowed core, ascending by first
    std::vector<NumaNode> numa_nodes;  // ascending by id
    CpuSet allowed;                    // every CPU that may be used
    // A cgroup CPU quota in CPUs, where it is below allowed.count(). With a quota and no cpuset of
    // its own a process must not be pinned: its neighbours in the cgroup would be pinned onto the
    // same cores.
    std::optional<double> cpu_quota;
    bool pinning_allowed = true;
    std::vector<std::string> warnings;
    bool operator==(const NodeTopology&) const = default;
};

// The CPU slots of a machine, whatever its GPUs: one per allowed core, in the order of `cores`.
// Under a CPU quota as many as it feeds, at least one, each without CPUs of its own. Pure.
std::vector<Slot> cpu_slots(const NodeTopology& node);

// The JSON of `mpitrain topo --output json`, schema mpitrain.topo/1 (CONTRACT section 6), one line.
std::string to_json(const NodeTopology& topology);
// Reads what to_json wrote. Errors: invalid_argument naming the field.
Result<NodeTopology> topology_from_json(std::string_view text);

}  // namespace mpitrain
