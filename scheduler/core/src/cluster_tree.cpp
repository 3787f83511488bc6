#include "cluster_tree.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

#include "choose_leaves.hpp"
#include "mpitrain/base/assert.hpp"

namespace mpitrain::scheduler {
namespace {

std::uint64_t all_slots(int slots) {
    return slots == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << slots) - 1;
}

std::size_t index_of(int value) {
    return static_cast<std::size_t>(value);
}

// Numbers in the order of first appearance.
template <typename Key>
int number_of(std::map<Key, int>& known, const Key& key) {
    return known.emplace(key, static_cast<int>(known.size())).first->second;
}

}  // namespace

ClusterTree::ClusterTree(const ClusterSpec& cluster, int levels) : levels_(levels) {
    MPITRAIN_ASSERT(levels >= 1 && validate(cluster).has_value());
    build_pools(cluster);
    build_indexes();
}

void ClusterTree::build_pools(const ClusterSpec& cluster) {
    std::map<std::tuple<SlotType, std::string, int, std::string>, int> pools;
    std::map<std::string, int> blocks;
    std::map<std::pair<std::string, std::string>, int> leaves;
    struct Place {
        int pool, block, leaf, id;
        auto operator<=>(const Place&) const = default;
    };
    std::vector<Place> places;
    for (const NodeSpec& node : cluster.nodes) {
        places.push_back({number_of(pools, {node.type, node.gpu_type, node.slots, node.model}),
                          number_of(blocks, node.block),
                          number_of(leaves, {node.block, node.leaf}),
                          static_cast<int>(places.size())});
    }
    std::sort(places.begin(), places.end());
    pools_.resize(pools.size());
    position_.resize(places.size());
    held_.assign(places.size(), std::vector<std::int16_t>(index_of(levels_), 0));
    const Place* last = nullptr;
    for (const Place& place : places) {
        Pool& pool = pools_[index_of(place.pool)];
        const int position = static_cast<int>(nodes_.size());
        if (pool.size++ == 0) {
            pool.model = cluster.nodes[index_of(place.id)];
            pool.first = position;
            if (const auto model = cluster.models.find(pool.model.model);
                model != cluster.models.end()) {
                pool.inside = std::make_shared<const NodeTopology>(model->second);
            }
        }
        const bool same_pool = last != nullptr && last->pool == place.pool;
        if (!same_pool || last->block != place.block) {
            pool.block_nodes.push_back(0);
        }
        ++pool.block_nodes.back();
        if (!same_pool || last->leaf != place.leaf) {
            pool.leaves.push_back(static_cast<int>(leaves_.size()));
            Leaf leaf;
            leaf.pool = place.pool;
            leaf.block = static_cast<int>(pool.block_nodes.size()) - 1;
            leaf.local = static_cast<int>(pool.leaves.size()) - 1;
            leaves_.push_back(std::move(leaf));
        }
        Node node;
        node.id = NodeId(place.id);
        node.pool = place.pool;
        node.leaf = static_cast<int>(leaves_.size()) - 1;
        node.local = static_cast<int>(leaves_.back().nodes.size());
        nodes_.push_back(std::move(node));
        leaves_.back().nodes.push_back(position);
        position_[index_of(place.id)] = position;
        last = &place;
    }
}

void ClusterTree::build_indexes() {
    for (Pool& pool : pools_) {
        std::size_t leaf_nodes_max = 0;
        const int slots = pool.model.slots;
        for (const int leaf_index : pool.leaves) {
            Leaf& leaf = leaves_[index_of(leaf_index)];
            leaf.count.assign(index_of(slots) + 1, 0);
            leaf.by_free = BitTree((index_of(slots) + 1) * leaf.nodes.size());
            leaf_nodes_max = std::max(leaf_nodes_max, leaf.nodes.size());
        }
        pool.leaves_by.assign(index_of(slots) + 1,
                              BitTree((leaf_nodes_max + 1) * pool.leaves.size()));
        pool.reach.assign(index_of(levels_), BitTree((index_of(slots) + 1) * index_of(pool.size)));
        pool.reach_full.assign(index_of(levels_), 0);
    }
    for (Node& node : nodes_) {
        const int slots = pools_[index_of(node.pool)].model.slots;
        total_slots_ += slots;
        node.free = all_slots(slots);
        node.reach.assign(index_of(levels_), 0);
        move_free(node, 0, slots);
        move_reach(node, 0, slots);
    }
}

// Moves an open node in the index of free slots.
void ClusterTree::move_free(Node& node, int from, int to) {
    if (from == to) {
        return;
    }
    Pool& pool = pools_[index_of(node.pool)];
    Leaf& leaf = leaves_[index_of(node.leaf)];
    const std::size_t width = leaf.nodes.size();
    const std::size_t leaves = pool.leaves.size();
    const int slots = pool.model.slots;
    const auto key = [&](int empty) { return index_of(empty) * leaves + index_of(leaf.local); };
    const int empty_before = leaf.count[index_of(slots)];
    free_slots_ += to - from;
    if (from > 0) {
        leaf.by_free.erase(index_of(from) * width + index_of(node.local));
        if (--leaf.count[index_of(from)] == 0) {
            pool.leaves_by[index_of(from)].erase(key(empty_before));
        }
    }
    if (to > 0) {
        leaf.by_free.insert(index_of(to) * width + index_of(node.local));
        if (leaf.count[index_of(to)]++ == 0) {
            pool.leaves_by[index_of(to)].insert(key(empty_before));
        }
    }
    const int empty_after = leaf.count[index_of(slots)];
    if (empty_after == empty_before) {
        return;
    }
    pool.empty += empty_after - empty_before;
    for (int free = 1; free <= slots; ++free) {
        if (leaf.count[index_of(free)] > 0) {
            pool.leaves_by[index_of(free)].erase(key(empty_before));
            pool.leaves_by[index_of(free)].insert(key(empty_after));
        }
    }
}

// Adds `change` to what the levels from `from_level` on can have of the node.
void ClusterTree::move_reach(Node& node, int from_level, int change) {
    Pool& pool = pools_[index_of(node.pool)];
    const std::size_t size = index_of(pool.size);
    const auto position = index_of(position_[index_of(node.id.value())]) - index_of(pool.first);
    for (std::size_t level = index_of(from_level); level < node.reach.size(); ++level) {
        std::int16_t& reach = node.reach[level];
        if (reach > 0) {
            pool.reach[level].erase(index_of(reach) * size + position);
        }
        pool.reach_full[level] -= reach == pool.model.slots ? 1 : 0;
        reach = static_cast<std::int16_t>(reach + change);
        pool.reach_full[level] += reach == pool.model.slots ? 1 : 0;
        if (reach > 0) {
            pool.reach[level].insert(index_of(reach) * size + position);
        }
    }
}

void ClusterTree::hold(const Allocation& allocation, int level) {
    for (const NodeSlots& piece : allocation) {
        Node& node = at(piece.node);
        MPITRAIN_ASSERT((node.free & piece.slots) == piece.slots && piece.slots != 0);
        const int before = std::popcount(node.free);
        const int count = std::popcount(piece.slots);
        node.free &= ~piece.slots;
        if (level >= 0) {
            held_[index_of(position_[index_of(piece.node.value())])][index_of(level)] +=
                static_cast<std::int16_t>(count);
        }
        if (node.open) {
            move_free(node, before, before - count);
            move_reach(node, reach_start(level), -count);
        }
    }
}

void ClusterTree::release(const Allocation& allocation, int level) {
    for (const NodeSlots& piece : allocation) {
        Node& node = at(piece.node);
        MPITRAIN_ASSERT((node.free & piece.slots) == 0);
        const int before = std::popcount(node.free);
        const int count = std::popcount(piece.slots);
        node.free |= piece.slots;
        if (level >= 0) {
            held_[index_of(position_[index_of(piece.node.value())])][index_of(level)] -=
                static_cast<std::int16_t>(count);
        }
        if (node.open) {
            move_free(node, before, before + count);
            move_reach(node, reach_start(level), count);
        }
    }
}

// Equal to release(from) and hold(to): levels in between gain or lose the slots.
void ClusterTree::relevel(const Allocation& allocation, int from, int to) {
    for (const NodeSlots& piece : allocation) {
        Node& node = at(piece.node);
        const int count = std::popcount(piece.slots);
        auto& held = held_[index_of(position_[index_of(piece.node.value())])];
        if (from >= 0) {
            held[index_of(from)] -= static_cast<std::int16_t>(count);
        }
        if (to >= 0) {
            held[index_of(to)] += static_cast<std::int16_t>(count);
        }
        if (node.open) {
            move_reach(node, reach_start(from), count);
            move_reach(node, reach_start(to), -count);
        }
    }
}

void ClusterTree::close(NodeId id) {
    Node& node = at(id);
    if (!node.open) {
        return;
    }
    move_free(node, std::popcount(node.free), 0);
    Pool& pool = pools_[index_of(node.pool)];
    const auto position = index_of(position_[index_of(id.value())]) - index_of(pool.first);
    for (std::size_t level = 0; level < node.reach.size(); ++level) {
        const std::int16_t reach = node.reach[level];
        if (reach > 0) {
            pool.reach[level].erase(index_of(reach) * index_of(pool.size) + position);
        }
        pool.reach_full[level] -= reach == pool.model.slots ? 1 : 0;
        node.reach[level] = 0;
    }
    node.open = false;
}

void ClusterTree::open(NodeId id) {
    Node& node = at(id);
    if (node.open) {
        return;
    }
    node.open = true;
    const int free = std::popcount(node.free);
    move_free(node, 0, free);
    move_reach(node, 0, free);
    const auto& held = held_[index_of(position_[index_of(id.value())])];
    for (int level = 1; level < levels_; ++level) {  // held at `level`: reached by those below it
        const int count = held[index_of(level)];
        if (count > 0) {
            move_reach(node, 0, count);
            move_reach(node, level, -count);
        }
    }
}

int ClusterTree::slots_of(NodeId node) const {
    return pools_[index_of(at(node).pool)].model.slots;
}

int ClusterTree::slots_of(const PoolNeed& need) const {
    return pools_[index_of(need.pool)].model.slots;
}

int ClusterTree::block_of(NodeId node) const {
    return leaves_[index_of(at(node).leaf)].block;
}

int ClusterTree::empty_nodes(int pool) const {
    return pools_[index_of(pool)].empty;
}

std::uint64_t ClusterTree::pick_slots(const PoolNeed& need, std::uint64_t free) const {
    const Pool& pool = pools_[index_of(need.pool)];
    if (!pool.inside || std::popcount(free) == need.slots) {
        return pick_slots(free, need.slots, pool.model.slots);
    }
    return pick(pool, free, need.slots).slots;
}

std::uint64_t ClusterTree::pick_slots(std::uint64_t free, int count, int slots) {
    if (count == slots) {
        return free;
    }
    for (int width = static_cast<int>(std::bit_ceil(static_cast<unsigned>(count)));; width *= 2) {
        std::uint64_t best = 0;
        for (int start = 0; start < slots; start += width) {
            const std::uint64_t group =
                width >= 64 ? free : (free >> start & all_slots(width)) << start;
            const int room = std::popcount(group);
            if (room >= count && (best == 0 || room < std::popcount(best))) {
                best = group;
            }
        }
        if (best == 0) {
            MPITRAIN_ASSERT(width < 2 * slots);
            continue;
        }
        while (std::popcount(best) > count) {
            best &= ~std::bit_floor(best);
        }
        return best;
    }
}

}  // namespace mpitrain::scheduler
