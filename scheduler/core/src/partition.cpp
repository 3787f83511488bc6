#include "partition.hpp"

#include <bit>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/scheduler/choose_slots.hpp"

namespace mpitrain::scheduler {

std::vector<int> vertices_of(Mask mask) {
    std::vector<int> vertices;
    for (; mask != 0; mask &= mask - 1) {
        vertices.push_back(std::countr_zero(mask));
    }
    return vertices;
}

BestPartition::BestPartition(const SlotGraph& graph, int group_size)
    : group_size_(group_size),
      groups_(static_cast<std::size_t>(graph.size())),
      table_(std::size_t{1} << graph.size()) {
    MPITRAIN_ASSERT(graph.size() <= static_cast<int>(exact_slots_max) && group_size >= 1);
    for (Mask mask = 1; mask < table_.size(); ++mask) {
        if (std::popcount(mask) == group_size) {
            groups_[static_cast<std::size_t>(std::countr_zero(mask))].push_back(
                {mask, graph.weight_within(vertices_of(mask))});
        }
    }
}

std::int64_t BestPartition::value(Mask mask) {
    if (std::popcount(mask) < group_size_) {
        return 0;
    }
    if (table_[mask].value < 0) {
        table_[mask] = solve(mask);
    }
    return table_[mask].value;
}

BestPartition::Entry BestPartition::solve(Mask mask) {
    const Mask lowest = mask & (~mask + 1);
    Entry best;
    for (const Group& group : groups_[static_cast<std::size_t>(std::countr_zero(mask))]) {
        if ((group.mask & ~mask) != 0) {
            continue;
        }
        const std::int64_t sum = group.weight + value(mask & ~group.mask);
        if (sum > best.value) {
            best = {sum, group.mask};
        }
    }
    // A vertex may stay over only where the number does not divide, else a group would be lost.
    if (std::popcount(mask) % group_size_ != 0) {
        const std::int64_t sum = value(mask & ~lowest);
        if (sum > best.value) {
            best = {sum, 0};
        }
    }
    return best;
}

std::vector<Mask> BestPartition::groups(Mask mask) {
    std::vector<Mask> found;
    while (std::popcount(mask) >= group_size_) {
        value(mask);
        const Mask group = table_[mask].group;
        if (group != 0) {
            found.push_back(group);
            mask &= ~group;
        } else {
            mask &= mask - 1;
        }
    }
    return found;
}

}  // namespace mpitrain::scheduler
