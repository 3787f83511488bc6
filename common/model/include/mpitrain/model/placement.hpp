#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/cpu_set.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/base/strong_id.hpp"

namespace mpitrain {

// What a rank computes on. `automatic` means GPUs where the machine has any, else cores.
enum class Device : std::uint8_t { automatic, gpu, cpu };
std::string_view to_string(Device device);  // "auto", "gpu", "cpu"
// Reads "auto", "cuda" or "gpu", "cpu". Errors: invalid_argument.
Result<Device> parse_device(std::string_view text);

// The wanted shape of the ranks on one node.
struct SlotRequest {
    int ranks = 1;
    int gpus_per_rank = 1;  // GPU ranks only
    // Whole cores of each rank. 0 = the natural share: one core for a CPU rank, its GPUs' share for
    // a GPU rank.
    int cpus_per_rank = 0;
    std::string gpu_type = {};   // part of the model's name, any case; empty = any
    bool oversubscribe = false;  // ranks may share slots when there are too few
    Device device = Device::automatic;
    bool operator==(const SlotRequest&) const = default;
};

// Where one rank runs and what it is bound to.
struct RankPlacement {
    Rank rank;
    LocalRank local_rank;
    NodeId node;
    std::vector<SlotId> slots;      // ascending; GPU slots, or the CPU slots of its cores
    CpuSet cpus;                    // empty = do not pin
    std::vector<int> numa;          // NUMA nodes of its slots, nearest first; empty = anywhere
    std::vector<std::string> nics;  // RDMA devices of its slots, in slot order, without repeats
    bool operator==(const RankPlacement&) const = default;
};

}  // namespace mpitrain
