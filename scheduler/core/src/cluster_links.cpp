// Parts of nodes whose links are known: which slots, and on which node, so that what is linked is
// used together and stays whole. What was worked out once for a set of free slots is kept.
#include <algorithm>
#include <bit>
#include <limits>

#include "cluster_tree.hpp"
#include "mpitrain/base/assert.hpp"
#include "mpitrain/scheduler/choose_slots.hpp"
#include "slot_graph.hpp"

namespace mpitrain::scheduler {
namespace {

// How many nodes of one number of free slots are compared.
constexpr int nodes_compared_max = 64;

std::vector<int> members(std::uint64_t set) {
    std::vector<int> found;
    for (; set != 0; set &= set - 1) {
        found.push_back(std::countr_zero(set));
    }
    return found;
}

std::size_t index_of(int value) {
    return static_cast<std::size_t>(value);
}

// What links are worth beyond the poorest of the node: where all are alike, nothing.
struct LinkWorth {
    const SlotGraph& graph;
    std::int64_t poorest = std::numeric_limits<std::int64_t>::max();

    explicit LinkWorth(const SlotGraph& of) : graph(of) {
        for (int a = 0; a < graph.size(); ++a) {
            for (int b = a + 1; b < graph.size(); ++b) {
                poorest = std::min(poorest, SlotGraph::link_of(graph.weight(a, b)));
            }
        }
    }
    [[nodiscard]] std::int64_t of(int a, int b) const {
        return SlotGraph::link_of(graph.weight(a, b)) - poorest;
    }
    [[nodiscard]] std::int64_t weakest(std::uint64_t set) const {
        const std::vector<int> slots = members(set);
        return slots.size() < 2 ? 0 : graph.weakest_link(slots) - poorest;
    }
    // The pairs that can be made of a set at once, the strongest first: what it is worth to those
    // that will ask for two.
    [[nodiscard]] std::int64_t pairs(std::uint64_t set) const {
        struct Pair {
            std::int64_t link;
            std::uint64_t slots;
        };
        std::vector<Pair> found;
        const std::vector<int> slots = members(set);
        for (std::size_t a = 0; a < slots.size(); ++a) {
            for (std::size_t b = a + 1; b < slots.size(); ++b) {
                found.push_back({of(slots[a], slots[b]),
                                 std::uint64_t{1} << slots[a] | std::uint64_t{1} << slots[b]});
            }
        }
        std::stable_sort(found.begin(), found.end(), [](const Pair& x, const Pair& y) {
            return x.link > y.link;
        });
        std::int64_t sum = 0;
        for (const Pair& pair : found) {
            if ((set & pair.slots) == pair.slots) {
                set &= ~pair.slots;
                sum += pair.link;
            }
        }
        return sum;
    }
};

}  // namespace

const ClusterTree::Pick& ClusterTree::pick(const Pool& pool, std::uint64_t free, int count) const {
    const auto [entry, added] = pool.picked.try_emplace({free, count});
    Pick& found = entry->second;
    if (!added) {
        return found;
    }
    std::vector<SlotId> all;
    std::vector<SlotId> ids;
    for (int slot = 0; slot < pool.model.slots; ++slot) {
        all.emplace_back(slot);
        if ((free >> slot & 1) != 0) {
            ids.emplace_back(slot);
        }
    }
    const auto chosen = choose_slots(*pool.inside, ids, count);
    MPITRAIN_ASSERT(chosen.has_value());  // the model has these slots
    for (const SlotId slot : *chosen) {
        found.slots |= std::uint64_t{1} << slot.value();
    }
    const SlotGraph graph(*pool.inside, all);
    const LinkWorth worth(graph);
    found.weakest = worth.weakest(found.slots);
    found.loss = worth.pairs(free) - worth.pairs(free & ~found.slots) - worth.pairs(found.slots);
    return found;
}

// The node on which the weakest link within the job is the strongest; then where the fewest linked
// pairs are broken; then the fullest, as everywhere.
std::optional<NodeId> ClusterTree::find_linked(const Pool& pool, int slots) const {
    const std::uint64_t all = ~std::uint64_t{0} >> (64 - pool.model.slots);
    const std::int64_t best_possible = pick(pool, all, slots).weakest;
    const std::size_t leaves = pool.leaves.size();
    std::optional<NodeId> best;
    const Pick* best_pick = nullptr;
    for (int free = slots; free <= pool.model.slots; ++free) {
        int compared = 0;
        const BitTree& by_empty = pool.leaves_by[index_of(free)];
        for (std::size_t key = by_empty.next(0);
             key != BitTree::none && compared < nodes_compared_max;
             key = by_empty.next(key + 1)) {
            const Leaf& leaf = leaves_[index_of(pool.leaves[key % leaves])];
            const std::size_t width = leaf.nodes.size();
            const std::size_t end = (index_of(free) + 1) * width;
            for (std::size_t at = leaf.by_free.next(index_of(free) * width);
                 at < end && compared < nodes_compared_max;
                 at = leaf.by_free.next(at + 1), ++compared) {
                const Node& node = nodes_[index_of(leaf.nodes[at % width])];
                const Pick& one = pick(pool, node.free, slots);
                if (best_pick == nullptr || one.weakest > best_pick->weakest ||
                    (one.weakest == best_pick->weakest && one.loss < best_pick->loss)) {
                    best = node.id;
                    best_pick = &one;
                }
                if (best_pick->weakest >= best_possible && best_pick->loss <= 0) {
                    return best;
                }
            }
        }
    }
    return best;
}

}  // namespace mpitrain::scheduler
