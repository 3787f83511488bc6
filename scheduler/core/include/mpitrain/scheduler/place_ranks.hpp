#pragma once

#include <set>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/model/placement.hpp"
#include "mpitrain/model/topology.hpp"

namespace mpitrain::scheduler {

// How many ranks of one shape a node holds without sharing: when empty, and beside what is busy
// now.
struct RankCapacity {
    int total = 0;
    int free = 0;
    bool operator==(const RankCapacity&) const = default;
};

// Where the ranks of `request` run on this node. Pure: equal input, equal answer. Ranks are
// numbered from 0 with rank == local_rank on NodeId 0; a caller with several nodes renumbers.
//
// `busy` names taken slots of the kind that is used: GPU slots of `node`, or, for CPU ranks, the
// slots of cpu_slots(node), which on a machine without GPUs are the node's own.
//
// GPU ranks get whole sets of GPUs by choose_slots and divide_slots, in PCI order, so that local
// rank and rail agree on every node, and the cores of those slots. CPU ranks get whole cores, the
// ranks packed into as few NUMA nodes as hold them; a rank straddles two only where nothing else is
// left. With request.oversubscribe, ranks beyond what is free share slots in turn (rank r takes set
// r modulo their number), as evenly as the numbers allow: the free ones, or, when all are busy,
// all. Where the node forbids pinning, every `cpus` is empty.
//
// Errors: invalid_argument (a count below 1), unsatisfiable (would not fit an empty node, no such
// GPU), resource_exhausted (does not fit now). Each says how many there are, how many are free, and
// the mend.
Result<std::vector<RankPlacement>> place_ranks(const NodeTopology& node,
                                               const SlotRequest& request,
                                               const std::set<SlotId>& busy);

// The capacity that place_ranks works with; request.ranks is ignored. For `-n all`.
// Errors: as place_ranks, without resource_exhausted.
Result<RankCapacity> rank_capacity(const NodeTopology& node,
                                   const SlotRequest& request,
                                   const std::set<SlotId>& busy);

}  // namespace mpitrain::scheduler
