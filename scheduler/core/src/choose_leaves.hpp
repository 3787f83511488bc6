#pragma once

#include <vector>

#include "mpitrain/scheduler/gang_request.hpp"

namespace mpitrain::scheduler {

// How much of what is wanted (whole nodes, or slices) a leaf could take now; above zero.
struct LeafRoom {
    int leaf = 0;   // in cluster order
    int block = 0;  // ascending with leaf
    int room = 0;
};

struct LeafShare {
    int leaf = 0;
    int count = 0;
    bool operator==(const LeafShare&) const = default;
};

// Which leaves give how many of `need` units: the first of all divisions in this order,
//   1. the fewest leaves,
//   2. then the fewest blocks,
//   3. then the largest gang that one leaf can still take, then the second largest, and so on: the
//      rooms that remain, in descending order, are lexicographically the largest,
//   4. then the nodes that come first in cluster order.
// Shares ascend by leaf; empty when `need` does not fit `within` one domain of that level.
//
// Exact, but for gangs that must span blocks in clusters with so many of them that the sets of
// blocks cannot be tried (more than block_sets_max); those take the roomiest blocks first.
// Cost: O(leaves log leaves), times the blocks that could do alone, or the sets tried.
inline constexpr int block_sets_max = 256;
std::vector<LeafShare> choose_leaves(const std::vector<LeafRoom>& rooms, int need, Level within);

}  // namespace mpitrain::scheduler
