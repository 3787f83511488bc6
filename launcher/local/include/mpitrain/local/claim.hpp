#pragma once

#include <string>

#include "mpitrain/base/result.hpp"
#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/model/topology.hpp"
#include "mpitrain/plan/launch_plan.hpp"
#include "mpitrain/supervise/slot_registry.hpp"

namespace mpitrain::local {

// How a job would run on this machine now.
struct LocalPlan {
    NodeTopology topology;
    LaunchPlan plan;
    std::string what;     // what its ranks run on, for people: "4 GPUs (NVIDIA H200)", "2 cores"
    Resources resources;  // what it needs of the machine, for the registry
};

// Reads this machine's topology, leaves out what other jobs hold, and places the ranks. Starts and
// takes nothing. Errors: those of topology::discover, scheduler::place_ranks and make_launch_plan;
// unsatisfiable for a job that names other hosts.
Result<LocalPlan> plan_here(const JobSpec& spec,
                            const EnvironmentMap& inherited,
                            const SlotRegistry& registry);

struct ClaimedPlan {
    LocalPlan local;
    SlotClaim claim;
};

// plan_here, and takes what the plan needs. When another job takes a slot in between it plans
// again; when slots are held only by the remains of a killed mpitrain, which its guard is clearing
// away, it waits for them, up to 6 s.
Result<ClaimedPlan> claim_here(const JobSpec& spec,
                               const EnvironmentMap& inherited,
                               const SlotRegistry& registry);

}  // namespace mpitrain::local
