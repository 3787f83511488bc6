#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bit_tree.hpp"
#include "mpitrain/scheduler/cluster_spec.hpp"
#include "mpitrain/scheduler/gang_request.hpp"

namespace mpitrain::scheduler {

// Of a job that may never be preempted.
inline constexpr int pinned_level = -1;

// What a shape needs of one pool: `slots` on each of `nodes` nodes.
struct PoolNeed {
    int pool = 0;
    int nodes = 1;
    int slots = 1;
    int slice_nodes = 0;
    Level within = Level::cluster;
};

// Which slots of which nodes are free or held, and at what preemption level, with indexes that
// answer where a gang fits in O(levels + gang). Nodes alike (type, model, slots) form a pool with a
// tree of its own; a gang lies in one pool, so that it has the same slots on each of its nodes.
//
// Of every node n and level p it keeps reach(n, p) = free slots + slots held at levels above p:
// what a job of level p could have there at most. With one level that is what is free.
class ClusterTree {
  public:
    // `levels` >= 1. The cluster must be valid.
    ClusterTree(const ClusterSpec& cluster, int levels);

    // The pools that hold the shape when every node is up and empty, in cluster order; empty =
    // never. `allowed`: by NodeId, the nodes that it may use; empty = all.
    [[nodiscard]] std::vector<PoolNeed> needs(const GangShape& shape,
                                              const std::vector<char>& allowed = {}) const;
    // The most slots that a gang of this shape could have on the empty cluster.
    [[nodiscard]] int largest(const GangShape& shape, const std::vector<char>& allowed = {}) const;

    // Where it fits in free slots: a node's part on the fullest node that holds it, of the leaf
    // with the fewest empty nodes; whole nodes as choose_leaves says. Nothing is held yet.
    [[nodiscard]] std::optional<Allocation> find(const PoolNeed& need) const;

    // The same on the nodes that `allowed` says alone, open or not. O(nodes of the pool).
    [[nodiscard]] std::optional<Allocation> find_among(
        const PoolNeed& need, const std::function<bool(NodeId)>& allowed) const;

    // Whether a job of `level` could have `need`, were all above `level` preempted; and where: for
    // a part of a node at most `count_max` nodes, those with the most free slots first; for whole
    // nodes all of them, in cluster order.
    [[nodiscard]] std::vector<NodeId> reachable_one(const PoolNeed& need,
                                                    int level,
                                                    std::size_t count_max) const;
    [[nodiscard]] std::vector<NodeId> reachable_nodes(const PoolNeed& need, int level) const;
    [[nodiscard]] bool can_reach(const PoolNeed& need, int level) const;

    // The slots must be free, resp. held at that level. O(pieces * levels).
    void hold(const Allocation& allocation, int level);
    void release(const Allocation& allocation, int level);
    void relevel(const Allocation& allocation, int from, int to);

    // A closed node (down, draining) takes nobody; what is held there stays until it is released.
    void close(NodeId node);
    void open(NodeId node);
    [[nodiscard]] bool is_open(NodeId node) const { return at(node).open; }

    [[nodiscard]] int levels() const { return levels_; }
    [[nodiscard]] std::size_t node_count() const { return nodes_.size(); }
    [[nodiscard]] std::uint64_t free_mask(NodeId node) const { return at(node).free; }
    [[nodiscard]] int slots_of(NodeId node) const;
    [[nodiscard]] int slots_of(const PoolNeed& need) const;  // on each node of its pool
    [[nodiscard]] int leaf_of(NodeId node) const { return at(node).leaf; }
    [[nodiscard]] int block_of(NodeId node) const;
    [[nodiscard]] int block_of_leaf(int leaf) const {
        return leaves_[static_cast<std::size_t>(leaf)].block;
    }
    [[nodiscard]] int free_slots() const { return free_slots_; }  // of open nodes
    [[nodiscard]] int total_slots() const { return total_slots_; }
    [[nodiscard]] int empty_nodes(int pool) const;
    [[nodiscard]] bool in_pool(NodeId node, int pool) const { return at(node).pool == pool; }

    // Which `count` of the free slots a job gets: those in the tightest aligned group of a power of
    // two, so that pairs, quads and halves of a node stay whole.
    static std::uint64_t pick_slots(std::uint64_t free, int count, int slots);
    // The same of a node of this pool: by choose_slots where its model is known. What was answered
    // is kept, so that after the first time it is one look.
    [[nodiscard]] std::uint64_t pick_slots(const PoolNeed& need, std::uint64_t free) const;

  private:
    // What a job gets of a node's free slots, where their links are known.
    struct Pick {
        std::uint64_t slots = 0;
        std::int64_t weakest = 0;  // link within them
        std::int64_t loss = 0;     // of what linked pairs were worth, in them and in the rest
    };
    struct Node {
        std::uint64_t free = 0;
        NodeId id;
        int pool = 0;
        int leaf = 0;
        int local = 0;  // within its leaf
        bool open = true;
        std::vector<std::int16_t> reach;  // by level; as in the index, so 0 when closed
    };
    struct Leaf {
        int pool = 0;
        int block = 0;
        int local = 0;           // within its pool
        std::vector<int> nodes;  // positions, ascending
        std::vector<int> count;  // nodes by free slots
        BitTree by_free;         // free * nodes.size() + local
    };
    struct Pool {
        NodeSpec model;
        std::shared_ptr<const NodeTopology> inside;  // none: nobody knows
        mutable std::map<std::pair<std::uint64_t, int>, Pick> picked;
        std::vector<int> leaves;         // ascending
        std::vector<int> block_nodes;    // sizes of its blocks
        int first = 0;                   // position of its first node
        int size = 0;                    // nodes
        int empty = 0;                   // open nodes with nothing on them
        std::vector<BitTree> leaves_by;  // by free: (empty nodes) * leaves + local leaf
        std::vector<BitTree> reach;      // by level: reach * size + (position - first)
        std::vector<int> reach_full;     // by level: nodes whose reach is all slots
    };

    [[nodiscard]] const Node& at(NodeId node) const {
        return nodes_[static_cast<std::size_t>(position_[static_cast<std::size_t>(node.value())])];
    }
    [[nodiscard]] Node& at(NodeId node) {
        return nodes_[static_cast<std::size_t>(position_[static_cast<std::size_t>(node.value())])];
    }
    void build_pools(const ClusterSpec& cluster);
    void build_indexes();
    [[nodiscard]] std::vector<int> leaf_sizes(const Pool& pool,
                                              const std::vector<char>& allowed) const;
    [[nodiscard]] bool holds_when_empty(const Pool& pool,
                                        const PoolNeed& need,
                                        const std::vector<char>& allowed) const;
    [[nodiscard]] const Pick& pick(const Pool& pool, std::uint64_t free, int count) const;
    [[nodiscard]] std::optional<NodeId> find_linked(const Pool& pool, int slots) const;
    [[nodiscard]] std::optional<NodeId> find_one(const Pool& pool, int slots) const;
    [[nodiscard]] Allocation take_empty(const Leaf& leaf, int count) const;
    [[nodiscard]] std::optional<Allocation> find_over_leaves(const Pool& pool,
                                                             const PoolNeed& need) const;
    void move_free(Node& node, int from, int to);
    void move_reach(Node& node, int from_level, int change);
    [[nodiscard]] static int reach_start(int level) { return level < 0 ? 0 : level; }

    int levels_;
    int free_slots_ = 0;
    int total_slots_ = 0;
    std::vector<Node> nodes_;    // in cluster order within their pool
    std::vector<int> position_;  // by NodeId
    std::vector<Leaf> leaves_;
    std::vector<Pool> pools_;
    std::vector<std::vector<std::int16_t>> held_;  // by position: slots held at each level
};

}  // namespace mpitrain::scheduler
