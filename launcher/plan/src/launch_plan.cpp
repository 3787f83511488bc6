#include "mpitrain/plan/launch_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "gpu_environment.hpp"
#include "plan_hash.hpp"

namespace mpitrain {
namespace {

Error invalid(std::string what) {
    return Error(ErrorCode::invalid_argument, std::move(what));
}

// The ranks of one node, and how many cores they have between them.
struct NodeShare {
    int ordinal = 0;  // among the nodes of the job, in rank order
    const NodeTopology* topology = nullptr;
    std::vector<const RankPlacement*> ranks;  // by local rank
};

int cores_in(const NodeTopology& node, const CpuSet& cpus) {
    return static_cast<int>(std::ranges::count_if(
        node.cores, [&cpus](const CpuSet& core) { return core.intersects(cpus); }));
}

// The cores that all ranks of an unpinned node share.
int cores_usable(const NodeTopology& node) {
    const int cores = std::max(1, static_cast<int>(node.cores.size()));
    return node.cpu_quota ? std::clamp(static_cast<int>(*node.cpu_quota), 1, cores) : cores;
}

// The cores that a rank computes with: its own, or its part of those it shares.
int cores_of(const RankPlacement& rank, const NodeShare& node) {
    if (rank.cpus.empty()) {
        return std::max(1, cores_usable(*node.topology) / static_cast<int>(node.ranks.size()));
    }
    const auto sharers = std::ranges::count_if(node.ranks, [&rank](const RankPlacement* other) {
        return other->cpus.intersects(rank.cpus);
    });
    return std::max(1, cores_in(*node.topology, rank.cpus) / static_cast<int>(sharers));
}

bool shares_cores(const NodeShare& node) {
    int taken = 0;
    CpuSet all;
    for (const RankPlacement* rank : node.ranks) {
        if (rank->cpus.empty()) {
            return static_cast<int>(node.ranks.size()) > cores_usable(*node.topology);
        }
        taken += cores_in(*node.topology, rank->cpus);
        all |= rank->cpus;
    }
    return taken > cores_in(*node.topology, all);
}

// The nodes of the job in the order of their first ranks. Errors: placements that contradict
// themselves.
Result<std::vector<NodeShare>> share_nodes(const PlanInput& input) {
    std::vector<NodeShare> shares;
    for (std::size_t i = 0; i < input.placements.size(); ++i) {
        const RankPlacement& rank = input.placements[i];
        const auto node = static_cast<std::size_t>(rank.node.value());
        if (rank.rank.value() != static_cast<int>(i) || node >= input.nodes.size()) {
            return invalid(
                fmt::format("placement {} is of rank {} on node {}", i, rank.rank.value(), node));
        }
        const NodeTopology* topology = &input.nodes[node];
        auto share = std::ranges::find(shares, topology, &NodeShare::topology);
        if (share == shares.end()) {
            const int ordinal = static_cast<int>(shares.size());
            share = shares.insert(shares.end(), NodeShare{ordinal, topology, {}});
        }
        if (rank.local_rank.value() != static_cast<int>(share->ranks.size())) {
            return invalid(fmt::format(
                "rank {} has local rank {} on {}", i, rank.local_rank.value(), topology->host));
        }
        share->ranks.push_back(&rank);
    }
    return shares;
}

// Gives each group its ranks; the open one takes what is left.
Result<std::vector<GroupPlan>> plan_groups(const JobSpec& spec, int world_size) {
    int left = world_size;
    for (const CommandGroup& group : spec.groups) {
        left -= group.ranks.value_or(0);
    }
    std::vector<GroupPlan> groups;
    for (const CommandGroup& group : spec.groups) {
        const int ranks = group.ranks.value_or(left);
        left -= group.ranks ? 0 : left;
        if (ranks < 1) {
            return Error(ErrorCode::unsatisfiable,
                         fmt::format("no rank is left for {}", program_name(group)))
                .at("--ranks")
                .mend("give the other programs fewer");
        }
        groups.push_back({group.name, ranks, group.command, group.env});
    }
    if (left != 0) {
        return invalid(
            fmt::format("{} ranks are placed, {} are asked for", world_size, world_size - left));
    }
    return groups;
}

void add_contract(EnvironmentMap& env, std::string_view name, int value) {
    env[std::string(name)] = fmt::format("{}", value);
}

// torchrun's names and ours, CONTRACT section 2, but for what only a running attempt knows.
EnvironmentMap environment_of(const PlanInput& input,
                              const LaunchPlan& plan,
                              const RankPlan& rank,
                              const NodeShare& node,
                              int node_count,
                              int first_of_group) {
    const JobSpec& spec = input.spec;
    const GroupPlan& group = plan.groups[static_cast<std::size_t>(rank.group)];
    const RankPlacement& placement = *node.ranks[static_cast<std::size_t>(rank.local_rank.value())];
    EnvironmentMap env = spec.env;
    for (const auto& [name, value] : group.env) {
        env[name] = value;
    }
    if (!env.contains("OMP_NUM_THREADS") && !input.inherited.contains("OMP_NUM_THREADS")) {
        add_contract(env, "OMP_NUM_THREADS", cores_of(placement, node));
    }
    add_contract(env, "RANK", rank.rank.value());
    add_contract(env, "WORLD_SIZE", static_cast<int>(input.placements.size()));
    add_contract(env, "LOCAL_RANK", rank.local_rank.value());
    add_contract(env, "LOCAL_WORLD_SIZE", static_cast<int>(node.ranks.size()));
    add_contract(env, "NODE_RANK", node.ordinal);
    add_contract(env, "GROUP_RANK", node.ordinal);
    add_contract(env, "GROUP_WORLD_SIZE", node_count);
    add_contract(env, "ROLE_RANK", rank.rank.value() - first_of_group);
    add_contract(env, "ROLE_WORLD_SIZE", group.ranks);
    env["ROLE_NAME"] = group.name;
    add_contract(env, "TORCHELASTIC_MAX_RESTARTS", max_restarts(spec));
    env["MPITRAIN_CHECKPOINT_DIR"] = spec.checkpoint_dir;
    std::vector<int> slots;
    std::ranges::transform(rank.slots, std::back_inserter(slots), &SlotId::value);
    env["MPITRAIN_SLOTS"] = fmt::format("{}", fmt::join(slots, ","));
    add_gpu_environment(env, *node.topology, node.ranks, rank.local_rank, spec.gpu_visibility);
    return env;
}

// Where ranks share cores, each may run on those of all ranks of its NUMA nodes: a core whose ranks
// wait then serves the others. (32 ranks on 2 cores start 5 % slower when pinned; mpirun does not
// bind ranks that share cores either.)
CpuSet cpus_of(const RankPlacement& placement, const NodeShare& node) {
    CpuSet cpus = placement.cpus;
    if (!cpus.empty() && shares_cores(node)) {
        for (const RankPlacement* other : node.ranks) {
            if (other->numa == placement.numa) {
                cpus |= other->cpus;
            }
        }
    }
    return cpus;
}

RankPlan plan_of(const RankPlacement& placement, const NodeShare& node) {
    RankPlan plan;
    plan.rank = placement.rank;
    plan.local_rank = placement.local_rank;
    plan.host = node.topology->host;
    plan.slots = placement.slots;
    plan.gpus = gpu_names(*node.topology, placement);
    plan.cpus = cpus_of(placement, node);
    plan.numa = placement.numa;
    plan.nics = placement.nics;
    return plan;
}

}  // namespace

Result<LaunchPlan> make_launch_plan(const PlanInput& input) {
    if (input.placements.empty()) {
        return invalid("no rank is placed");
    }
    LaunchPlan plan;
    plan.engine =
        input.spec.engine == EngineKind::automatic ? EngineKind::mpirun : input.spec.engine;
    MPITRAIN_TRY(plan.groups, plan_groups(input.spec, static_cast<int>(input.placements.size())));
    MPITRAIN_TRY(const std::vector<NodeShare> nodes, share_nodes(input));
    plan.shares_cores = std::ranges::any_of(nodes, shares_cores);
    PlanHash hash;
    int group = 0;
    int first_of_group = 0;
    for (const RankPlacement& placement : input.placements) {
        const NodeTopology* topology =
            &input.nodes[static_cast<std::size_t>(placement.node.value())];
        const NodeShare& node = *std::ranges::find(nodes, topology, &NodeShare::topology);
        if (placement.rank.value() ==
            first_of_group + plan.groups[static_cast<std::size_t>(group)].ranks) {
            first_of_group = placement.rank.value();
            ++group;
        }
        RankPlan rank = plan_of(placement, node);
        rank.group = group;
        rank.env =
            environment_of(input, plan, rank, node, static_cast<int>(nodes.size()), first_of_group);
        hash.add(node.ordinal, rank);
        plan.ranks.push_back(std::move(rank));
    }
    plan.hash = hash.hex();
    return plan;
}

}  // namespace mpitrain
