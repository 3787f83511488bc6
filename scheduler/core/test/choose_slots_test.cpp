#include "mpitrain/scheduler/choose_slots.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <set>
#include <tuple>

#include "nodes.hpp"

namespace mpitrain::scheduler {
namespace {

using test::cube_mesh;
using test::gpu_node;
using test::ids;
using test::link;
using test::pcie_tree;
using test::switched;

using Set = std::vector<int>;

std::vector<int> choose(const NodeTopology& node, const Set& free, int count) {
    const auto chosen = choose_slots(node, ids(free), count);
    std::vector<int> values;
    EXPECT_TRUE(chosen) << (chosen ? "" : chosen.error().text());
    if (chosen) {
        for (const SlotId id : *chosen) {
            values.push_back(id.value());
        }
    }
    return values;
}

Set all_of(const NodeTopology& node) {
    Set set;
    for (const Slot& slot : node.slots) {
        set.push_back(slot.slot.value());
    }
    return set;
}

// --- An exhaustive optimum, written from the header's words alone: no masks, no tables. ---

std::vector<Set> subsets(const Set& from, std::size_t size) {
    if (size == 0) {
        return {{}};
    }
    std::vector<Set> result;
    for (std::size_t first = 0; first + size <= from.size(); ++first) {
        const Set tail(from.begin() + static_cast<std::ptrdiff_t>(first) + 1, from.end());
        for (const Set& rest : subsets(tail, size - 1)) {
            Set set(size, from[first]);
            std::copy(rest.begin(), rest.end(), set.begin() + 1);
            result.push_back(std::move(set));
        }
    }
    return result;
}

int points(const NodeTopology& node, int a, int b) {
    const auto row = static_cast<std::size_t>(a);
    const auto column = static_cast<std::size_t>(b);
    const auto bandwidth = node.links.bandwidth_mb_s[row][column];
    if (bandwidth && *bandwidth > 0) {
        return 60 + *bandwidth / 250;
    }
    const auto kind = node.links.link_class[row][column];
    if (!kind) {
        return 0;
    }
    const int scale[] = {60, 50, 40, 30, 20, 10};
    return scale[static_cast<std::size_t>(*kind)];
}

struct Sum {
    long links = 0;
    long same_numa = 0;
    auto operator<=>(const Sum&) const = default;
};

Sum sum_within(const NodeTopology& node, const Set& set) {
    Sum sum;
    for (const Set& pair : subsets(set, 2)) {
        sum.links += points(node, pair[0], pair[1]);
        const auto& a = node.slots[static_cast<std::size_t>(pair[0])].numa;
        const auto& b = node.slots[static_cast<std::size_t>(pair[1])].numa;
        sum.same_numa += !a.empty() && !b.empty() && a.front() == b.front() ? 1 : 0;
    }
    return sum;
}

Set without(const Set& set, const Set& removed) {
    Set rest;
    std::set_difference(
        set.begin(), set.end(), removed.begin(), removed.end(), std::back_inserter(rest));
    return rest;
}

Sum best_division(const NodeTopology& node, const Set& set, std::size_t size) {
    Sum best;
    if (set.size() < size) {
        return best;
    }
    // Every group that holds the lowest member, or the lowest member left over.
    for (const Set& group : subsets(set, size)) {
        if (group.front() != set.front()) {
            break;
        }
        Sum sum = best_division(node, without(set, group), size);
        const Sum inside = sum_within(node, group);
        sum.links += inside.links;
        sum.same_numa += inside.same_numa;
        best = std::max(best, sum);
    }
    return std::max(best, best_division(node, Set(set.begin() + 1, set.end()), size));
}

Set oracle(const NodeTopology& node, const Set& free, int count) {
    const auto score = [&](const Set& set) {
        int weakest = std::numeric_limits<int>::max();
        for (const Set& pair : subsets(set, 2)) {
            weakest = std::min(weakest, points(node, pair[0], pair[1]));
        }
        std::set<int> numa;
        std::set<std::string> nics;
        for (const int id : set) {
            const Slot& slot = node.slots[static_cast<std::size_t>(id)];
            numa.insert(slot.numa.empty() ? -1 : slot.numa.front());
            nics.insert(slot.nics.begin(), slot.nics.end());
        }
        const Set rest = without(free, set);
        return std::tuple(weakest,
                          sum_within(node, set),
                          -static_cast<int>(numa.size()),
                          nics.size(),
                          best_division(node, rest, static_cast<std::size_t>(std::max(count, 2))),
                          sum_within(node, rest));
    };
    Set best;
    for (const Set& set : subsets(free, static_cast<std::size_t>(count))) {
        if (best.empty() || score(set) > score(best)) {
            best = set;
        }
    }
    return best;
}

TEST(ChooseSlots, PairsOfACubeMeshAreTheKnownOnes) {
    const NodeTopology node = cube_mesh();
    Set free = all_of(node);
    for (const Set& expected : {Set{0, 3}, Set{1, 2}, Set{4, 7}, Set{5, 6}}) {
        EXPECT_EQ(choose(node, free, 2), expected);
        free = without(free, expected);
    }
}

TEST(ChooseSlots, FoursOfACubeMeshAreTheBoards) {
    const NodeTopology node = cube_mesh();
    EXPECT_EQ(choose(node, all_of(node), 4), (Set{0, 1, 2, 3}));
    EXPECT_EQ(choose(node, {0, 2, 4, 5, 6, 7}, 4), (Set{4, 5, 6, 7}));
}

TEST(ChooseSlots, AStrongerPairAcrossSocketsBeatsAWeakerOneNearBy) {
    EXPECT_EQ(choose(cube_mesh(), {0, 1, 4}, 2), (Set{0, 4}));
}

TEST(ChooseSlots, ASingleGpuIsTakenWhereItSpoilsLeast) {
    // On {0,1,2,3,4} of a switched node 4 is the odd one of its NUMA node; 0 would break up the
    // four.
    EXPECT_EQ(choose(switched(8), {0, 1, 2, 3, 4}, 1), (Set{4}));
    // On PCI switches 2 is alone behind its switch.
    EXPECT_EQ(choose(pcie_tree(), {0, 1, 2, 4, 5}, 1), (Set{2}));
}

TEST(ChooseSlots, PairsShareAPciSwitch) {
    EXPECT_EQ(choose(pcie_tree(), {1, 2, 3, 4}, 2), (Set{2, 3}));
    EXPECT_EQ(choose(pcie_tree(), {1, 3, 4, 6}, 2), (Set{1, 3})) << "one socket before two";
}

TEST(ChooseSlots, EqualLinksAreDecidedByNumaThenByNics) {
    NodeTopology node = switched(8);
    EXPECT_EQ(choose(node, {1, 2, 4, 5, 6, 7}, 4), (Set{4, 5, 6, 7}));
    node.slots[1].nics = node.slots[0].nics;
    EXPECT_EQ(choose(node, {0, 1, 2, 3}, 2), (Set{0, 2})) << "two rails before one";
}

TEST(ChooseSlots, UnknownLinksStillGiveTheLowestCompactSet) {
    EXPECT_EQ(choose(gpu_node({0, 1, 0, 1}), {0, 1, 2, 3}, 2), (Set{0, 2}));
    EXPECT_EQ(choose(gpu_node({0, 0, 0, 0}), {3, 1, 2}, 2), (Set{1, 2}));
}

TEST(ChooseSlots, RefusesImpossibleQuestions) {
    const NodeTopology node = switched(4);
    for (const auto& [free, count] : std::vector<std::pair<Set, int>>{
             {{0, 1}, 3}, {{0, 1}, 0}, {{0, 0, 1}, 2}, {{0, 4}, 1}, {{0, -1}, 1}, {{}, 1}}) {
        const auto chosen = choose_slots(node, ids(free), count);
        ASSERT_FALSE(chosen);
        EXPECT_EQ(chosen.error().code(), ErrorCode::invalid_argument);
    }
}

// Every subset of free GPUs and every count, on every shape of eight.
class ChooseSlotsOnShape : public testing::TestWithParam<int> {
  protected:
    static NodeTopology shape(int index) {
        switch (index) {
            case 0:
                return cube_mesh();
            case 1:
                return switched(8);
            case 2:
                return pcie_tree();
            case 3:
                return gpu_node({3, 3, 1, 1, 7, 7, 5, 5});
            default:
                return random_node(static_cast<unsigned>(index));
        }
    }

    static NodeTopology random_node(unsigned seed) {
        std::mt19937 random(seed);
        const auto below = [&random](unsigned limit) { return static_cast<int>(random() % limit); };
        std::vector<int> numa;
        for (int gpu = 0; gpu < 7; ++gpu) {
            numa.push_back(below(3));
        }
        NodeTopology node = gpu_node(numa);
        for (std::size_t a = 0; a < numa.size(); ++a) {
            if (below(2) == 0) {
                node.slots[a].nics = {"mlx5_" + std::to_string(below(3))};
            }
            for (std::size_t b = a + 1; b < numa.size(); ++b) {
                if (below(5) != 0) {
                    const auto kind = static_cast<LinkClass>(below(6));
                    link(node, a, b, kind, kind == LinkClass::nvl ? 25000 * (1 + below(2)) : 0);
                }
            }
        }
        return node;
    }
};

TEST_P(ChooseSlotsOnShape, EqualsTheExhaustiveOptimum) {
    const NodeTopology node = shape(GetParam());
    const Set all = all_of(node);
    for (unsigned mask = 1; mask < 1U << all.size(); ++mask) {
        Set free;
        for (const int id : all) {
            if ((mask >> id & 1U) != 0) {
                free.push_back(id);
            }
        }
        for (int count = 1; count <= static_cast<int>(free.size()); ++count) {
            ASSERT_EQ(choose(node, free, count), oracle(node, free, count))
                << "free " << testing::PrintToString(free) << " count " << count;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ChooseSlotsOnShape, testing::Range(0, 12));

TEST(ChooseSlots, GreedyBeyondSixteenStillFindsTheIsland) {
    // Twenty GPUs, ten a side, joined within a side only.
    std::vector<int> numa(20, 0);
    std::fill(numa.begin() + 10, numa.end(), 1);
    NodeTopology node = gpu_node(numa);
    for (std::size_t a = 0; a < 20; ++a) {
        for (std::size_t b = a + 1; b < 20; ++b) {
            link(node, a, b, a / 10 == b / 10 ? LinkClass::pix : LinkClass::sys);
        }
    }
    Set free = without(all_of(node), {0, 1, 2});
    EXPECT_EQ(choose(node, free, 8), (Set{10, 11, 12, 13, 14, 15, 16, 17}));
    EXPECT_EQ(choose(node, free, 8), choose(node, free, 8));
}

TEST(DivideSlots, PairsOfACubeMesh) {
    const auto sets = divide_slots(cube_mesh(), ids({0, 1, 2, 3, 4, 5, 6, 7}), 2);
    ASSERT_TRUE(sets);
    EXPECT_EQ(
        *sets,
        (std::vector<std::vector<SlotId>>{ids({0, 3}), ids({1, 2}), ids({4, 7}), ids({5, 6})}));
}

TEST(DivideSlots, SinglesKeepPciOrder) {
    const auto sets = divide_slots(switched(4), ids({3, 1, 0}), 1);
    ASSERT_TRUE(sets);
    EXPECT_EQ(*sets, (std::vector<std::vector<SlotId>>{ids({0}), ids({1}), ids({3})}));
}

TEST(DivideSlots, CoversEverySlotOnceBeyondTheExactLimit) {
    const NodeTopology node = gpu_node(std::vector<int>(20, 0));
    const auto sets = divide_slots(node, ids(all_of(node)), 4);
    ASSERT_TRUE(sets);
    std::vector<SlotId> covered;
    for (const auto& set : *sets) {
        EXPECT_EQ(set.size(), 4U);
        covered.insert(covered.end(), set.begin(), set.end());
    }
    std::sort(covered.begin(), covered.end());
    EXPECT_EQ(covered, ids(all_of(node)));
}

TEST(DivideSlots, RefusesARemainder) {
    EXPECT_FALSE(divide_slots(switched(4), ids({0, 1, 2}), 2));
}

}  // namespace
}  // namespace mpitrain::scheduler
