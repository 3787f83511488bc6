#include "cluster_tree.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <random>

namespace mpitrain::scheduler {
namespace {

GangShape gang(int slots) {
    return {.slots = slots};
}

// What find promises for a part of a node, by looking at every node.
std::optional<NodeId> best_fit(const ClusterTree& tree, int nodes, int slots) {
    std::vector<int> empty(static_cast<std::size_t>(nodes), 0);
    for (int n = 0; n < nodes; ++n) {
        const NodeId node(n);
        if (tree.is_open(node) && std::popcount(tree.free_mask(node)) == tree.slots_of(node)) {
            ++empty[static_cast<std::size_t>(tree.leaf_of(node))];
        }
    }
    std::optional<std::tuple<int, int, int>> best;
    for (int n = 0; n < nodes; ++n) {
        const NodeId node(n);
        const int free = std::popcount(tree.free_mask(node));
        if (!tree.is_open(node) || free < slots) {
            continue;
        }
        const std::tuple key(free, empty[static_cast<std::size_t>(tree.leaf_of(node))], n);
        best = best ? std::min(*best, key) : key;
    }
    return best ? std::optional(NodeId(std::get<2>(*best))) : std::nullopt;
}

TEST(ClusterTree, FindsTheBestFitAmongPartsOfNodes) {
    std::mt19937 random(7);
    constexpr int nodes = 24;
    const auto draw = [&](int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(random);
    };
    for (int round = 0; round < 40; ++round) {
        ClusterTree tree(
            uniform_cluster({.nodes = nodes, .slots_per_node = 4, .nodes_per_leaf = 5}), 1);
        std::vector<Allocation> held;
        for (int step = 0; step < 200; ++step) {
            if (draw(0, 9) == 0) {
                const NodeId node(draw(0, nodes - 1));
                tree.is_open(node) ? tree.close(node) : tree.open(node);
            }
            if (!held.empty() && draw(0, 2) == 0) {
                const auto which =
                    static_cast<std::size_t>(draw(0, static_cast<int>(held.size()) - 1));
                tree.release(held[which], 0);
                held.erase(held.begin() + static_cast<long>(which));
                continue;
            }
            const int slots = draw(1, 4);
            const auto expected = best_fit(tree, nodes, slots);
            const auto found = tree.find(tree.needs(gang(slots)).front());
            ASSERT_EQ(found.has_value(), expected.has_value());
            if (found) {
                ASSERT_EQ(found->front().node, *expected);
                ASSERT_EQ(slot_count(*found), slots);
                tree.hold(*found, 0);
                held.push_back(*found);
            }
        }
    }
}

TEST(ClusterTree, KnowsWhatEveryLevelCouldReach) {
    ClusterTree tree(uniform_cluster({.nodes = 2, .slots_per_node = 4}), 3);
    const PoolNeed whole = tree.needs(gang(8)).front();
    const PoolNeed node = tree.needs(gang(4)).front();
    tree.hold({{NodeId(0), 0b0011}}, 2);
    tree.hold({{NodeId(1), 0b0001}}, 1);
    EXPECT_TRUE(tree.can_reach(whole, 0));
    EXPECT_FALSE(tree.can_reach(whole, 1));
    EXPECT_TRUE(tree.can_reach(node, 1));
    EXPECT_FALSE(tree.can_reach(node, 2));
    tree.relevel({{NodeId(0), 0b0011}}, 2, 1);
    EXPECT_FALSE(tree.can_reach(node, 1));
    tree.close(NodeId(0));
    EXPECT_FALSE(tree.can_reach(whole, 0));
    tree.open(NodeId(0));
    EXPECT_TRUE(tree.can_reach(whole, 0));
    tree.release({{NodeId(0), 0b0011}}, 1);
    EXPECT_TRUE(tree.can_reach(node, 2));
}

TEST(ClusterTree, KeepsPairsAndQuadsWhole) {
    EXPECT_EQ(ClusterTree::pick_slots(0b11111111, 2, 8), 0b00000011U);
    EXPECT_EQ(ClusterTree::pick_slots(0b11111101, 1, 8), 0b00000001U);  // from the broken pair
    EXPECT_EQ(ClusterTree::pick_slots(0b11111100, 2, 8), 0b00001100U);  // from the broken quad
    EXPECT_EQ(ClusterTree::pick_slots(0b10111100, 3, 8), 0b10110000U & 0b10111100U);
}

TEST(ClusterTree, KeepsTypesApart) {
    ClusterSpec cluster = uniform_cluster({.nodes = 3, .gpu_type = "a100"});
    for (int i = 0; i < 2; ++i) {
        cluster.nodes.push_back({.name = "h" + std::to_string(i), .gpu_type = "h100-sxm"});
    }
    ClusterTree tree(cluster, 1);
    GangShape shape = gang(16);
    shape.gpu_type = "h100";
    const auto found = tree.find(tree.needs(shape).front());
    ASSERT_TRUE(found);
    EXPECT_EQ(found->front().node, NodeId(3));
    EXPECT_EQ(tree.needs(gang(32)).size(), 0U);  // three and two nodes are not four alike
    EXPECT_EQ(tree.largest(gang(32)), 24);
    shape.type = SlotType::cpu;
    EXPECT_TRUE(tree.needs(shape).empty());
}

TEST(ClusterTree, PlacesSlicesWithinLeaves) {
    ClusterTree tree(uniform_cluster({.nodes = 9, .slots_per_node = 4, .nodes_per_leaf = 3}), 1);
    GangShape shape = gang(16);
    shape.slice_nodes = 2;
    const auto found = tree.find(tree.needs(shape).front());
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), 4U);
    EXPECT_EQ(tree.leaf_of((*found)[0].node), tree.leaf_of((*found)[1].node));
    EXPECT_EQ(tree.leaf_of((*found)[2].node), tree.leaf_of((*found)[3].node));
    shape.slots = 32;  // four slices, but three leaves with room for one each
    EXPECT_TRUE(tree.needs(shape).empty());
    EXPECT_EQ(tree.largest(shape), 24);
}

}  // namespace
}  // namespace mpitrain::scheduler
