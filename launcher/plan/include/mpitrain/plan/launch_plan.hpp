#pragma once

#include <map>
#include <string>
#include <vector>

#include "mpitrain/base/cpu_set.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/model/placement.hpp"
#include "mpitrain/model/topology.hpp"

namespace mpitrain {

// Everything one rank is started with, apart from what only a running attempt knows (ports, attempt
// number, resume path).
struct RankPlan {
    Rank rank;
    LocalRank local_rank;
    int group = 0;  // index into LaunchPlan::groups
    std::string host;
    std::vector<SlotId> slots;
    std::vector<std::string> gpus;  // UUIDs, in device order of this rank
    CpuSet cpus;                    // empty = not pinned
    std::vector<int> numa;
    std::vector<std::string> nics;
    EnvironmentMap env;  // the environment contract's stable part (CONTRACT section 2)
    bool operator==(const RankPlan&) const = default;
};

struct GroupPlan {
    std::string name;
    int ranks = 0;
    std::vector<std::string> command;
    EnvironmentMap env;
    bool operator==(const GroupPlan&) const = default;
};

// The pure answer to "what would run do": a value, equal for equal inputs.
struct LaunchPlan {
    std::string hash;  // 16 hex digits over node ordinals, slots, cpus and the stable environment
    EngineKind engine = EngineKind::mpirun;
    bool shares_cores = false;  // some core serves two ranks: MPI must yield when idle
    std::vector<GroupPlan> groups;
    std::vector<RankPlan> ranks;  // by rank
    bool operator==(const LaunchPlan&) const = default;
};

// Facts of the nodes that a plan is made from.
struct PlanInput {
    const JobSpec& spec;
    const std::vector<NodeTopology>& nodes;
    std::vector<RankPlacement> placements;  // by rank, from place_ranks; node = index into nodes
    EnvironmentMap inherited = {};  // what ranks get from the submitter: decides OMP_NUM_THREADS
};

// Errors: invalid_argument, unsatisfiable; nothing is read from the machine.
Result<LaunchPlan> make_launch_plan(const PlanInput& input);

// mpitrain.plan/1 (CONTRACT section 6); `command` is the engine's command line. Values of variables
// whose names look secret are redacted.
std::string to_json(const LaunchPlan& plan, const std::vector<std::string>& engine_command);

}  // namespace mpitrain
