#include "gpu_environment.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace mpitrain {
namespace {

const Slot* find_slot(const NodeTopology& node, SlotId id) {
    const auto slot = std::ranges::find(node.slots, id, &Slot::slot);
    return slot == node.slots.end() || slot->kind != SlotKind::gpu ? nullptr : &*slot;
}

bool has_vendor(const NodeTopology& node, Vendor vendor) {
    return std::ranges::any_of(node.slots, [vendor](const Slot& slot) {
        return !slot.gpus.empty() && slot.gpus.front().vendor == vendor;
    });
}

// All GPUs of the job on this node, such that device LOCAL_RANK is that rank's: first everybody's
// first GPU, then everybody's second, and so on. A GPU that ranks share comes once, since CUDA
// takes no device twice.
std::vector<std::string> interleaved(const NodeTopology& node,
                                     const std::vector<const RankPlacement*>& ranks) {
    std::vector<std::vector<std::string>> of_rank;
    std::size_t most = 0;
    for (const RankPlacement* rank : ranks) {
        of_rank.push_back(gpu_names(node, *rank));
        most = std::max(most, of_rank.back().size());
    }
    std::vector<std::string> all;
    for (std::size_t i = 0; i < most; ++i) {
        for (const std::vector<std::string>& gpus : of_rank) {
            if (i < gpus.size() && std::ranges::find(all, gpus[i]) == all.end()) {
                all.push_back(gpus[i]);
            }
        }
    }
    return all;
}

// A process can use one MIG instance only, so showing it others would hide its own.
bool is_mig(std::string_view name) {
    return name.starts_with("MIG-");
}

}  // namespace

std::vector<std::string> gpu_names(const NodeTopology& node, const RankPlacement& rank) {
    std::vector<std::string> names;
    for (const SlotId id : rank.slots) {
        const Slot* slot = find_slot(node, id);
        for (std::size_t i = 0; slot != nullptr && i < slot->gpus.size(); ++i) {
            const std::string& uuid = slot->gpus[i].uuid;
            names.push_back(uuid.empty() ? fmt::format("{}", id.value()) : uuid);
        }
    }
    return names;
}

void add_gpu_environment(EnvironmentMap& env,
                         const NodeTopology& node,
                         const std::vector<const RankPlacement*>& ranks,
                         LocalRank local_rank,
                         GpuVisibility visibility) {
    const std::vector<std::string> own =
        gpu_names(node, *ranks[static_cast<std::size_t>(local_rank.value())]);
    const bool own_only = visibility == GpuVisibility::rank || std::ranges::any_of(own, is_mig);
    const std::string visible =
        own.empty() ? ""
                    : fmt::format("{}", fmt::join(own_only ? own : interleaved(node, ranks), ","));
    if (has_vendor(node, Vendor::nvidia)) {
        env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID";
        env["CUDA_VISIBLE_DEVICES"] = visible;
    }
    if (has_vendor(node, Vendor::amd)) {
        env["ROCR_VISIBLE_DEVICES"] = visible;
    }
}

}  // namespace mpitrain
