#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/scheduler/cluster_spec.hpp"

namespace mpitrain::scheduler {

// Domains of the cluster, the smallest first.
enum class Level : std::uint8_t { node, leaf, block, cluster };
std::string_view to_string(Level level);

// What a gang needs, without who asks. Jobs of equal shape can start at the same moments, so the
// queue asks once for all of them.
//
// A gang of at most one node's slots runs on one node, packed beside others unless `exclusive`. A
// larger one takes whole nodes: a neighbour would slow every rank of it.
struct GangShape {
    SlotType type = SlotType::gpu;
    int slots = 1;                        // GPUs, or core shares
    std::string gpu_type = {};            // part of the node's gpu_type; empty = any
    bool exclusive = false;               // whole nodes even for few slots
    Level within = Level::cluster;        // must lie in one domain of this level
    int slice_nodes = 0;                  // > 0: groups of this many nodes, each within one leaf
    std::vector<std::string> nodes = {};  // on these alone, by name; empty = any
    std::vector<std::string> not_nodes = {};  // and on none of these
    // > 0: elastic. It starts with as many slots as there are from here to `slots`: whole nodes, or
    // halves, quarters, … of a part of one. Where it has fewer and nobody waits it is stopped, to
    // start again with more. Under backfill that plans it is not elastic.
    int min_slots = 0;
    auto operator<=>(const GangShape&) const = default;
};

// What must have become of another job before this one may start.
enum class AfterKind : std::uint8_t {
    started,    // it has started, or will never
    succeeded,  // it has ended well; if it ends otherwise, this job never runs
    ended,      // it is over, however it went
};
struct After {
    JobId job;
    AfterKind what = AfterKind::ended;
    bool operator==(const After&) const = default;
};

// A member of an array of jobs: of those with the same `array`, at most `at_most` are in the queue
// or running at once; 0 = all.
struct ArrayPlace {
    JobId array;
    int at_most = 0;
    bool operator==(const ArrayPlace&) const = default;
};

// One job as the core sees it; immutable. Times are since the host's epoch.
struct GangRequest {
    JobId job;
    GangShape shape = {};
    int priority = 0;  // higher goes first, before everything else a policy looks at
    // What the job is expected to run, where anybody said: a time limit, a learned estimate. Only
    // an oracle policy is ever given the truth, by the simulator.
    std::optional<Nanoseconds> estimate = {};
    bool preemptible = true;
    std::string account = {};       // whose share and quota it uses, where the core knows accounts
    std::string window = {};        // runs only in this window of the cluster's (see Window)
    std::vector<After> after = {};  // all of them must hold
    std::optional<ArrayPlace> array = {};
    std::optional<Nanoseconds> not_before = {};
    std::optional<Nanoseconds> deadline = {};  // to have ended by then; needs an estimate to matter
    Nanoseconds checkpoint_every{};  // what a preemption loses at most; 0 = nothing to speak of
    bool held = false;               // until Released
    bool operator==(const GangRequest&) const = default;
};

// Slots of one node, bit i = SlotId i.
struct NodeSlots {
    NodeId node;
    std::uint64_t slots = 0;
    bool operator==(const NodeSlots&) const = default;
};

// Slots that one attempt holds, nodes in cluster order, which is rank order.
using Allocation = std::vector<NodeSlots>;
int slot_count(const Allocation& allocation);

}  // namespace mpitrain::scheduler
