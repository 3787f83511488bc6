// Where a gang fits: the questions that ClusterTree answers from its indexes.
#include <algorithm>
#include <bit>
#include <map>
#include <numeric>
#include <tuple>

#include "choose_leaves.hpp"
#include "cluster_tree.hpp"

namespace mpitrain::scheduler {
namespace {

std::size_t index_of(int value) {
    return static_cast<std::size_t>(value);
}

bool matches(const NodeSpec& model, const GangShape& shape) {
    return model.type == shape.type && model.gpu_type.find(shape.gpu_type) != std::string::npos;
}

PoolNeed need_of(const GangShape& shape, int pool, int slots_per_node) {
    PoolNeed need{.pool = pool,
                  .nodes = (shape.slots + slots_per_node - 1) / slots_per_node,
                  .slots = shape.slots,
                  .slice_nodes = shape.slice_nodes,
                  .within = shape.within};
    if (need.nodes > 1 || shape.exclusive || need.slice_nodes > 0) {
        need.slots = slots_per_node;
    }
    return need;
}

}  // namespace

std::vector<PoolNeed> ClusterTree::needs(const GangShape& shape,
                                         const std::vector<char>& allowed) const {
    std::vector<PoolNeed> found;
    for (std::size_t index = 0; index < pools_.size(); ++index) {
        const Pool& pool = pools_[index];
        if (matches(pool.model, shape)) {
            const PoolNeed need = need_of(shape, static_cast<int>(index), pool.model.slots);
            if (holds_when_empty(pool, need, allowed)) {
                found.push_back(need);
            }
        }
    }
    return found;
}

// Nodes by leaf of the pool, of those allowed.
std::vector<int> ClusterTree::leaf_sizes(const Pool& pool, const std::vector<char>& allowed) const {
    std::vector<int> sizes;
    for (const int leaf_index : pool.leaves) {
        const auto& nodes = leaves_[index_of(leaf_index)].nodes;
        sizes.push_back(static_cast<int>(
            allowed.empty() ? static_cast<std::ptrdiff_t>(nodes.size())
                            : std::count_if(nodes.begin(), nodes.end(), [&](int position) {
                                  const NodeId node = nodes_[index_of(position)].id;
                                  return allowed[index_of(node.value())] != 0;
                              })));
    }
    return sizes;
}

bool ClusterTree::holds_when_empty(const Pool& pool,
                                   const PoolNeed& need,
                                   const std::vector<char>& allowed) const {
    if (need.slice_nodes > 0 && need.nodes % need.slice_nodes != 0) {
        return false;
    }
    const int unit = std::max(need.slice_nodes, 1);
    std::vector<LeafRoom> rooms;
    const std::vector<int> sizes = leaf_sizes(pool, allowed);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        const int leaf = pool.leaves[i];
        if (sizes[i] / unit > 0) {
            rooms.push_back({leaf, leaves_[index_of(leaf)].block, sizes[i] / unit});
        }
    }
    if (need.nodes == 1) {
        return !rooms.empty();
    }
    return need.within > Level::node &&
           !choose_leaves(rooms, need.nodes / unit, need.within).empty();
}

int ClusterTree::largest(const GangShape& shape, const std::vector<char>& allowed) const {
    int best = 0;
    for (const Pool& pool : pools_) {
        if (!matches(pool.model, shape)) {
            continue;
        }
        const int unit = std::max(shape.slice_nodes, 1);
        int nodes = 0;
        int leaf_most = 0;
        int block = -1;
        int block_sum = 0;
        int block_most = 0;
        const std::vector<int> sizes = leaf_sizes(pool, allowed);
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            const Leaf& leaf = leaves_[index_of(pool.leaves[i])];
            const int room = sizes[i] / unit * unit;
            block_sum = leaf.block == block ? block_sum + room : room;
            block = leaf.block;
            leaf_most = std::max(leaf_most, room);
            block_most = std::max(block_most, block_sum);
            nodes += room;
        }
        const int most[] = {std::min(nodes, 1), leaf_most, block_most, nodes};
        best = std::max(best, most[index_of(static_cast<int>(shape.within))] * pool.model.slots);
    }
    return best;
}

// Best fit; among nodes alike the one whose leaf has the fewest empty nodes, so that empty leaves
// stay empty.
std::optional<NodeId> ClusterTree::find_one(const Pool& pool, int slots) const {
    for (int free = slots; free <= pool.model.slots; ++free) {
        const std::size_t key = pool.leaves_by[index_of(free)].next(0);
        if (key == BitTree::none) {
            continue;
        }
        const Leaf& leaf = leaves_[index_of(pool.leaves[key % pool.leaves.size()])];
        const std::size_t width = leaf.nodes.size();
        const std::size_t local =
            leaf.by_free.next(index_of(free) * width) - index_of(free) * width;
        return nodes_[index_of(leaf.nodes[local])].id;
    }
    return std::nullopt;
}

// The first `count` empty nodes of a leaf that has them.
Allocation ClusterTree::take_empty(const Leaf& leaf, int count) const {
    Allocation taken;
    const int slots = pools_[index_of(leaf.pool)].model.slots;
    const std::size_t width = leaf.nodes.size();
    std::size_t key = index_of(slots) * width;
    for (int i = 0; i < count; ++i, ++key) {
        key = leaf.by_free.next(key);
        const Node& node = nodes_[index_of(leaf.nodes[key % width])];
        taken.push_back({node.id, node.free});
    }
    return taken;
}

std::optional<Allocation> ClusterTree::find(const PoolNeed& need) const {
    const Pool& pool = pools_[index_of(need.pool)];
    if (need.nodes > 1 || need.slice_nodes > 0) {
        if (pool.empty < need.nodes) {
            return std::nullopt;
        }
        // The emptiest leaf that still suffices is the answer whenever there is one.
        const std::size_t leaves = pool.leaves.size();
        const BitTree& by_empty = pool.leaves_by[index_of(pool.model.slots)];
        const int wanted = need.slice_nodes > 0 ? 0 : need.nodes;
        const std::size_t key = by_empty.next(index_of(wanted) * leaves);
        if (wanted > 0 && key != BitTree::none) {
            return take_empty(leaves_[index_of(pool.leaves[key % leaves])], need.nodes);
        }
        return find_over_leaves(pool, need);
    }
    const bool by_links = pool.inside && need.slots < pool.model.slots;
    const auto node = by_links ? find_linked(pool, need.slots) : find_one(pool, need.slots);
    if (!node) {
        return std::nullopt;
    }
    return Allocation{{*node, pick_slots(need, at(*node).free)}};
}

std::optional<Allocation> ClusterTree::find_over_leaves(const Pool& pool,
                                                        const PoolNeed& need) const {
    const int unit = std::max(need.slice_nodes, 1);
    if (unit == 1 && need.within <= Level::leaf) {
        return std::nullopt;  // no single leaf suffices, or it would have been taken
    }
    std::vector<LeafRoom> rooms;
    for (const int leaf_index : pool.leaves) {
        const Leaf& leaf = leaves_[index_of(leaf_index)];
        const int room = leaf.count[index_of(pool.model.slots)] / unit;
        if (room > 0) {
            rooms.push_back({leaf_index, leaf.block, room});
        }
    }
    const auto shares = choose_leaves(rooms, need.nodes / unit, need.within);
    if (shares.empty()) {
        return std::nullopt;
    }
    Allocation taken;
    taken.reserve(index_of(need.nodes));
    for (const LeafShare& share : shares) {
        const Allocation part = take_empty(leaves_[index_of(share.leaf)], share.count * unit);
        taken.insert(taken.end(), part.begin(), part.end());
    }
    return taken;
}

std::optional<Allocation> ClusterTree::find_among(
    const PoolNeed& need, const std::function<bool(NodeId)>& allowed) const {
    const Pool& pool = pools_[index_of(need.pool)];
    const bool whole = need.nodes > 1 || need.slice_nodes > 0;
    std::map<int, std::vector<NodeId>> by_leaf;
    for (int i = 0; i < pool.size; ++i) {
        const Node& node = nodes_[index_of(pool.first + i)];
        if (std::popcount(node.free) >= need.slots && allowed(node.id)) {
            by_leaf[node.leaf].push_back(node.id);
        }
    }
    if (!whole) {
        const Node* best = nullptr;
        const auto rank = [&](const Node& node) {
            return std::tuple(std::popcount(node.free),
                              leaves_[index_of(node.leaf)].count[index_of(pool.model.slots)],
                              node.leaf,
                              node.local);
        };
        for (const auto& [leaf, nodes] : by_leaf) {
            for (const NodeId id : nodes) {
                best = best == nullptr || rank(at(id)) < rank(*best) ? &at(id) : best;
            }
        }
        return best == nullptr
                   ? std::nullopt
                   : std::optional(Allocation{{best->id, pick_slots(need, best->free)}});
    }
    const int unit = std::max(need.slice_nodes, 1);
    std::vector<LeafRoom> rooms;
    for (const auto& [leaf, nodes] : by_leaf) {
        if (static_cast<int>(nodes.size()) / unit > 0) {
            rooms.push_back(
                {leaf, leaves_[index_of(leaf)].block, static_cast<int>(nodes.size()) / unit});
        }
    }
    Allocation taken;
    for (const LeafShare& share : choose_leaves(rooms, need.nodes / unit, need.within)) {
        const auto& nodes = by_leaf.at(share.leaf);
        for (std::size_t i = 0; i < index_of(share.count * unit); ++i) {
            taken.push_back({nodes[i], at(nodes[i]).free});
        }
    }
    return taken.empty() ? std::nullopt : std::optional(std::move(taken));
}

bool ClusterTree::can_reach(const PoolNeed& need, int level) const {
    const Pool& pool = pools_[index_of(need.pool)];
    if (need.nodes > 1) {
        return pool.reach_full[index_of(level)] >= need.nodes;
    }
    return pool.reach[index_of(level)].next(index_of(need.slots) * index_of(pool.size)) !=
           BitTree::none;
}

std::vector<NodeId> ClusterTree::reachable_one(const PoolNeed& need,
                                               int level,
                                               std::size_t count_max) const {
    const Pool& pool = pools_[index_of(need.pool)];
    std::vector<NodeId> found;
    if (!can_reach(need, level)) {
        return found;
    }
    // Nodes with free slots that cannot be reached are passed over, but not without end.
    std::size_t looks = 8 * count_max;
    const std::size_t leaves = pool.leaves.size();
    for (int free = need.slots - 1; free > 0; --free) {
        const BitTree& by_empty = pool.leaves_by[index_of(free)];
        for (std::size_t key = by_empty.next(0); key != BitTree::none && looks > 0;
             key = by_empty.next(key + 1)) {
            const Leaf& leaf = leaves_[index_of(pool.leaves[key % leaves])];
            const std::size_t width = leaf.nodes.size();
            const std::size_t end = (index_of(free) + 1) * width;
            for (std::size_t at = leaf.by_free.next(index_of(free) * width);
                 at < end && found.size() < count_max && looks > 0;
                 at = leaf.by_free.next(at + 1)) {
                --looks;
                const Node& node = nodes_[index_of(leaf.nodes[at % width])];
                if (node.reach[index_of(level)] >= need.slots) {
                    found.push_back(node.id);
                }
            }
        }
    }
    const std::size_t size = index_of(pool.size);
    const BitTree& tree = pool.reach[index_of(level)];
    for (std::size_t key = tree.next(index_of(need.slots) * size);
         key != BitTree::none && found.size() < count_max;
         key = tree.next(key + 1)) {
        const Node& node = nodes_[index_of(pool.first) + key % size];
        if (node.free == 0) {
            found.push_back(node.id);
        }
    }
    if (found.empty()) {  // all have some free slots, and the looks were spent on others
        const std::size_t key = tree.next(index_of(need.slots) * size);
        found.push_back(nodes_[index_of(pool.first) + key % size].id);
    }
    return found;
}

std::vector<NodeId> ClusterTree::reachable_nodes(const PoolNeed& need, int level) const {
    const Pool& pool = pools_[index_of(need.pool)];
    std::vector<NodeId> found;
    const std::size_t size = index_of(pool.size);
    const BitTree& tree = pool.reach[index_of(level)];
    for (std::size_t key = tree.next(index_of(need.slots) * size); key != BitTree::none;
         key = tree.next(key + 1)) {
        found.push_back(nodes_[index_of(pool.first) + key % size].id);
    }
    return found;
}

}  // namespace mpitrain::scheduler
