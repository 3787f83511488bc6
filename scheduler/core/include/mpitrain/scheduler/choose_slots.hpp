#pragma once

#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/model/topology.hpp"

namespace mpitrain::scheduler {

// Up to this many free GPUs the choice is an exhaustive optimum; beyond, greedy with improving
// swaps.
inline constexpr std::size_t exact_slots_max = 16;

// Which `count` of the `free` GPU slots of a node a job should get, ascending. Pure: equal input,
// equal answer.
//
// The best set is the first in this order, each criterion deciding only where all before are equal:
//   1. its weakest link is the strongest (one slow pair slows every collective),
//   2. the sum of its links is the largest, then it has the most pairs within one NUMA node,
//   3. it touches the fewest NUMA nodes,
//   4. it has the most distinct NICs (network bandwidth),
//   5. what it leaves free is worth most to further jobs of its size: the best division of the rest
//      into sets of max(count, 2), then the sum of all links within the rest,
//   6. its slot numbers are the lowest.
// A link counts as its PCI class on the scale SYS 10, NODE 20, PHB 30, PXB 40, PIX 50, and as 60
// plus one per 250 MB/s (160 for one NVLink 2) where its bandwidth is known to be above zero;
// unknown counts 0.
//
// Cost: with n free slots up to 2^n table entries; under a millisecond for 8, at most 25 for 16.
// Beyond exact_slots_max criterion 5 is only the sum of links within the rest, and the set is the
// best of n greedy ones (one grown from each slot), improved by at most 4 * count swaps, each the
// best of all single ones.
// Errors: invalid_argument (count < 1, slots unknown or repeated, count > free).
Result<std::vector<SlotId>> choose_slots(const NodeTopology& node,
                                         const std::vector<SlotId>& free,
                                         int count);

// Divides `slots` into sets of `size` with the largest sum of links inside the sets; each set
// ascending, sets by their lowest slot. slots.size() must be a multiple of size. Same exactness and
// cost as choose_slots. Errors: invalid_argument.
Result<std::vector<std::vector<SlotId>>> divide_slots(const NodeTopology& node,
                                                      const std::vector<SlotId>& slots,
                                                      int size);

}  // namespace mpitrain::scheduler
