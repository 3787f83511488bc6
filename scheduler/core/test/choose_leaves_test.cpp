// choose_leaves against every division there is, on random small clusters.
#include "choose_leaves.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>

namespace mpitrain::scheduler {
namespace {

// What a division is worth, the first field deciding first; smaller is better.
struct Worth {
    int leaves = 0;
    int blocks = 0;
    std::vector<int> left;   // rooms that remain, negated, the largest first
    std::vector<int> nodes;  // leaf * 100 + number of the node in it
    auto operator<=>(const Worth&) const = default;
};

Worth worth(const std::vector<LeafRoom>& rooms, const std::vector<int>& counts) {
    Worth found;
    std::set<int> blocks;
    for (std::size_t i = 0; i < rooms.size(); ++i) {
        found.left.push_back(-(rooms[i].room - counts[i]));
        if (counts[i] > 0) {
            ++found.leaves;
            blocks.insert(rooms[i].block);
        }
        for (int node = 0; node < counts[i]; ++node) {
            found.nodes.push_back(rooms[i].leaf * 100 + node);
        }
    }
    found.blocks = static_cast<int>(blocks.size());
    std::sort(found.left.begin(), found.left.end());
    return found;
}

bool allowed(const Worth& found, Level within) {
    return within == Level::cluster || (within == Level::block && found.blocks == 1) ||
           found.leaves == 1;
}

std::optional<Worth> best_of_all(const std::vector<LeafRoom>& rooms, int need, Level within) {
    std::optional<Worth> best;
    std::vector<int> counts(rooms.size(), 0);
    const std::function<void(std::size_t, int)> go = [&](std::size_t leaf, int rest) {
        if (leaf == rooms.size()) {
            if (rest == 0) {
                const Worth found = worth(rooms, counts);
                if (allowed(found, within) && (!best || found < *best)) {
                    best = found;
                }
            }
            return;
        }
        for (int count = 0; count <= std::min(rest, rooms[leaf].room); ++count) {
            counts[leaf] = count;
            go(leaf + 1, rest - count);
        }
        counts[leaf] = 0;
    };
    go(0, need);
    return best;
}

std::optional<Worth> chosen(const std::vector<LeafRoom>& rooms, int need, Level within) {
    const auto shares = choose_leaves(rooms, need, within);
    if (shares.empty()) {
        return std::nullopt;
    }
    std::vector<int> counts(rooms.size(), 0);
    for (const LeafShare& share : shares) {
        for (std::size_t i = 0; i < rooms.size(); ++i) {
            counts[i] += rooms[i].leaf == share.leaf ? share.count : 0;
        }
    }
    return worth(rooms, counts);
}

std::vector<LeafRoom> random_rooms(std::mt19937& random) {
    const auto draw = [&](int low, int high) {
        return std::uniform_int_distribution<int>(low, high)(random);
    };
    std::vector<LeafRoom> rooms;
    int block = 0;
    const int leaves = draw(1, 6);
    for (int leaf = 0; leaf < leaves; ++leaf) {
        block += draw(0, 1);
        if (const int room = draw(0, 4); room > 0) {
            rooms.push_back({leaf, block, room});
        }
    }
    return rooms;
}

// MPITRAIN_INSTANCES raises the number for scripts/campaign placement.
int instances() {
    const char* text =
        std::getenv("MPITRAIN_INSTANCES");  // NOLINT(concurrency-mt-unsafe): one thread
    return text == nullptr ? 3000 : std::stoi(text);
}

TEST(ChooseLeaves, EqualsTheBestOfAllDivisions) {
    std::mt19937 random(20240607);
    for (int instance = 0; instance < instances(); ++instance) {
        const auto rooms = random_rooms(random);
        int total = 0;
        for (const LeafRoom& room : rooms) {
            total += room.room;
        }
        const int need = std::uniform_int_distribution<int>(1, total + 1)(random);
        for (const Level within : {Level::cluster, Level::block, Level::leaf}) {
            const auto expected = best_of_all(rooms, need, within);
            const auto found = chosen(rooms, need, within);
            ASSERT_EQ(found.has_value(), expected.has_value()) << "instance " << instance;
            ASSERT_TRUE(!expected || *found == *expected)
                << "instance " << instance << ", need " << need << ", within " << to_string(within);
        }
    }
}

TEST(ChooseLeaves, TakesTheLeafThatFitsTightest) {
    const std::vector<LeafRoom> rooms = {{0, 0, 8}, {1, 0, 5}, {2, 0, 3}};
    EXPECT_EQ(choose_leaves(rooms, 4, Level::cluster), (std::vector<LeafShare>{{1, 4}}));
}

TEST(ChooseLeaves, StaysInOneBlockWhereItCostsNoLeaf) {
    const std::vector<LeafRoom> rooms = {{0, 0, 4}, {1, 0, 1}, {2, 1, 3}, {3, 1, 3}};
    EXPECT_EQ(choose_leaves(rooms, 6, Level::cluster), (std::vector<LeafShare>{{2, 3}, {3, 3}}));
}

TEST(ChooseLeaves, ServesThousandsOfLeaves) {
    std::vector<LeafRoom> rooms;
    for (int leaf = 0; leaf < 1700; ++leaf) {
        rooms.push_back({leaf, leaf / 34, 8});
    }
    const auto shares = choose_leaves(rooms, 4096, Level::cluster);
    ASSERT_EQ(shares.size(), 512U);
    std::set<int> blocks;
    for (const LeafShare& share : shares) {
        blocks.insert(share.leaf / 34);
    }
    EXPECT_EQ(blocks.size(), 16U);  // 512 leaves of 34 a block
}

}  // namespace
}  // namespace mpitrain::scheduler
