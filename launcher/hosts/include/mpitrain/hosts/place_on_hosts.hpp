#pragma once

#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/hosts/node_facts.hpp"
#include "mpitrain/model/hostfile.hpp"
#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/model/placement.hpp"

namespace mpitrain::hosts {

// A machine that ranks may be placed on.
struct Candidate {
    HostEntry entry;
    NodeFacts facts;
};

struct HostsPlacement {
    JobSpec spec;                           // every group's ranks settled
    std::vector<NodeTopology> nodes;        // of all candidates, each under the name the user gave
    std::vector<RankPlacement> placements;  // by rank; node = index into `nodes`
};

// Where the ranks of a job run: --placement pack fills the candidates in their order, spread gives
// each as many as the others; --nodes takes that many of them, --ranks-per-node and a host's slots
// bound each one's ranks. On each machine its own topology decides (scheduler::place_ranks). Pure.
//
// Errors: unsatisfiable (more slots named than a machine has, or more ranks than all of them can
// hold), resource_exhausted (not now), each with the numbers of every host; those of place_ranks at
// the host's name.
Result<HostsPlacement> place_on_hosts(const JobSpec& spec,
                                      const std::vector<Candidate>& candidates);

}  // namespace mpitrain::hosts
