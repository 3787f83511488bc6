#pragma once

#include <cstdint>
#include <vector>

#include "slot_graph.hpp"

namespace mpitrain::scheduler {

using Mask =
    std::uint32_t;  // bit i = vertex i of a SlotGraph with at most exact_slots_max vertices

// The vertices of a mask, ascending.
std::vector<int> vertices_of(Mask mask);

// The best divisions of vertex sets into groups of one size, by dynamic programming over masks: the
// lowest vertex of a set is either left over or grouped with size - 1 others. Answers are kept, so
// asking for many subsets of one graph costs little more than asking for the largest.
class BestPartition {
  public:
    BestPartition(const SlotGraph& graph, int group_size);

    // The largest sum of weights inside floor(|mask| / group_size) disjoint groups out of `mask`.
    std::int64_t value(Mask mask);
    // Groups that reach value(mask); the same ones every time.
    std::vector<Mask> groups(Mask mask);

  private:
    struct Group {
        Mask mask;
        std::int64_t weight;
    };
    struct Entry {
        std::int64_t value = -1;  // -1 = not asked for yet
        Mask group = 0;           // the group of the lowest vertex; 0 = it is left over
    };
    Entry solve(Mask mask);

    int group_size_;
    std::vector<std::vector<Group>> groups_;  // by lowest vertex, in lexicographic order
    std::vector<Entry> table_;                // by mask
};

}  // namespace mpitrain::scheduler
