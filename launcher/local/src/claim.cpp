#include "mpitrain/local/claim.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "mpitrain/scheduler/place_ranks.hpp"
#include "mpitrain/topology/discover.hpp"

namespace mpitrain::local {
namespace {

using namespace std::chrono_literals;

constexpr auto remains_deadline = 6s;  // a guard clears away within 5 s
constexpr auto poll_period = 20ms;     // flock(2) has no wait with a deadline
constexpr int races_max = 20;

bool names_this_machine(const std::string& entry) {
    const std::string host = entry.substr(0, entry.rfind(':'));
    char name[256] = "";
    ::gethostname(name, sizeof name - 1);
    const std::string own = name;
    return host == "localhost" || host == "127.0.0.1" || host == own ||
           host == own.substr(0, own.find('.'));
}

Result<void> check_single_machine(const JobSpec& spec) {
    const auto elsewhere = std::ranges::find_if_not(spec.host, names_this_machine);
    if (elsewhere != spec.host.end()) {
        return Error(ErrorCode::unsatisfiable, fmt::format("{} is not this machine", *elsewhere))
            .at("--host")
            .mend("this version runs on one machine; log in there, or leave the option out");
    }
    if (!spec.hostfile.empty() || spec.nodes.value_or(1) > 1) {
        return Error(ErrorCode::unsatisfiable, "this version runs on one machine")
            .at(spec.hostfile.empty() ? "--nodes" : "--hostfile")
            .mend("leave the option out to run here");
    }
    if (spec.engine == EngineKind::srun) {
        return Error(ErrorCode::unsatisfiable, "this version launches with mpirun only")
            .at("--engine");
    }
    return {};
}

std::vector<Slot> slots_of(const NodeTopology& node, Device device) {
    const bool cpu =
        device == Device::cpu || node.slots.empty() || node.slots.front().kind == SlotKind::cpu;
    return cpu ? cpu_slots(node) : node.slots;
}

Resources resources_for(const std::vector<Slot>& slots,
                        const std::vector<RankPlacement>& placements,
                        bool share) {
    Resources all;
    all.share_cpus = share;
    std::set<SlotId> used;
    for (const RankPlacement& placement : placements) {
        used.insert(placement.slots.begin(), placement.slots.end());
    }
    for (const Slot& slot : slots) {
        if (used.contains(slot.slot)) {
            const Resources one = resources_of(slot);
            all.cpus |= one.cpus;
            all.gpus.insert(all.gpus.end(), one.gpus.begin(), one.gpus.end());
        }
    }
    return all;
}

std::string describe(const std::vector<Slot>& slots, const Resources& resources) {
    const auto count = [](std::size_t n, std::string_view noun) {
        return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
    };
    if (!resources.gpus.empty()) {
        return fmt::format(
            "{} ({})", count(resources.gpus.size(), "GPU"), slots.front().gpus.front().model);
    }
    const auto used = std::ranges::count_if(
        slots, [&](const Slot& slot) { return resources.cpus.intersects(slot.cpus); });
    return count(static_cast<std::size_t>(used), "core");
}

struct MachineState {
    NodeTopology topology;
    std::vector<Slot> slots;
};

Result<MachineState> look_around(const JobSpec& spec) {
    MPITRAIN_TRY_VOID(check_single_machine(spec));
    topology::DiscoverOptions options = topology::DiscoverOptions::from_environment();
    options.device = spec.device;
    MPITRAIN_TRY(NodeTopology topology, topology::discover(options));
    std::vector<Slot> slots = slots_of(topology, spec.device);
    return MachineState{std::move(topology), std::move(slots)};
}

Resources resources_alone(const Slot& slot, bool share) {
    Resources resources = resources_of(slot);
    resources.share_cpus = share;
    return resources;
}

std::set<SlotId> busy_slots(const MachineState& machine, bool share, const SlotRegistry& registry) {
    std::set<SlotId> busy;
    for (const Slot& slot : machine.slots) {
        if (!registry.is_free(resources_alone(slot, share))) {
            busy.insert(slot.slot);
        }
    }
    return busy;
}

// Gives the group that takes "all" as many ranks as are free.
Result<void> fill_open_group(JobSpec& spec,
                             const NodeTopology& node,
                             const SlotRequest& request,
                             const std::set<SlotId>& busy) {
    CommandGroup* open = nullptr;
    int fixed = 0;
    for (CommandGroup& group : spec.groups) {
        if (group.ranks) {
            fixed += *group.ranks;
        } else {
            open = &group;
        }
    }
    if (open == nullptr) {
        return {};
    }
    MPITRAIN_TRY(const scheduler::RankCapacity capacity,
                 scheduler::rank_capacity(node, request, busy));
    // At least one, so that a full machine fails with place_ranks' own account of what is free.
    open->ranks = std::max(1, capacity.free - fixed);
    return {};
}

Result<LocalPlan> plan_on(const MachineState& machine,
                          const JobSpec& spec,
                          const EnvironmentMap& inherited,
                          const SlotRegistry& registry) {
    const std::set<SlotId> busy = busy_slots(machine, spec.oversubscribe, registry);
    SlotRequest request{.ranks = 1,
                        .gpus_per_rank = spec.gpus_per_rank,
                        .cpus_per_rank = spec.cpus_per_rank,
                        .gpu_type = spec.gpu_type,
                        .oversubscribe = spec.oversubscribe,
                        .device = spec.device};
    JobSpec whole = spec;
    MPITRAIN_TRY_VOID(fill_open_group(whole, machine.topology, request, busy));
    request.ranks = *total_ranks(whole);
    MPITRAIN_TRY(auto placements, scheduler::place_ranks(machine.topology, request, busy));
    LocalPlan local;
    local.topology = machine.topology;
    local.resources = resources_for(machine.slots, placements, spec.oversubscribe);
    local.what = describe(machine.slots, local.resources);
    const std::vector<NodeTopology> nodes = {machine.topology};
    MPITRAIN_TRY(local.plan,
                 make_launch_plan({.spec = whole,
                                   .nodes = nodes,
                                   .placements = std::move(placements),
                                   .inherited = inherited}));
    return local;
}

bool only_remains_in_the_way(const MachineState& machine,
                             bool share,
                             const SlotRegistry& registry) {
    return std::ranges::any_of(machine.slots, [&](const Slot& slot) {
        return registry.is_being_released(resources_alone(slot, share));
    });
}

}  // namespace

Result<LocalPlan> plan_here(const JobSpec& spec,
                            const EnvironmentMap& inherited,
                            const SlotRegistry& registry) {
    MPITRAIN_TRY(const MachineState machine, look_around(spec));
    return plan_on(machine, spec, inherited, registry);
}

Result<ClaimedPlan> claim_here(const JobSpec& spec,
                               const EnvironmentMap& inherited,
                               const SlotRegistry& registry) {
    MPITRAIN_TRY(const MachineState machine, look_around(spec));
    const auto deadline = std::chrono::steady_clock::now() + remains_deadline;
    for (int races = 0; races < races_max;) {
        auto local = plan_on(machine, spec, inherited, registry);
        auto claim =
            local ? registry.try_claim(local->resources) : Result<SlotClaim>(Error(local.error()));
        if (claim) {
            return ClaimedPlan{*std::move(local), *std::move(claim)};
        }
        if (claim.error().code() != ErrorCode::resource_exhausted) {
            return std::move(claim).error();
        }
        if (only_remains_in_the_way(machine, spec.oversubscribe, registry)) {
            if (std::chrono::steady_clock::now() >= deadline) {
                return std::move(claim).error();
            }
            std::this_thread::sleep_for(poll_period);
        } else if (!local) {
            return std::move(claim).error();
        } else {
            ++races;  // somebody took it between the look and the lock
        }
    }
    return Error(ErrorCode::resource_exhausted, "other jobs keep taking the free slots first")
        .mend("try again");
}

}  // namespace mpitrain::local
