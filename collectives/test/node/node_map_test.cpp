#include "node/node_map.hpp"

#include <gtest/gtest.h>

namespace mpitrain::collectives {
namespace {

std::vector<Seat> seats_on(std::initializer_list<std::uint64_t> nodes, std::uint64_t cpus = 0xff) {
    std::vector<Seat> seats;
    for (const std::uint64_t node : nodes) {
        seats.push_back({.node = node, .cpus = {cpus}});
    }
    return seats;
}

TEST(NodeMap, FindsTheRanksOfTheOwnNode) {
    const auto map = map_nodes(seats_on({5, 9, 5, 9, 5}), 2);
    EXPECT_EQ(map.shape.ranks, (std::vector<int>{0, 2, 4}));
    EXPECT_EQ(map.shape.member, 1);
    EXPECT_EQ(map.nodes, 2);
    EXPECT_FALSE(map.regular);
}

TEST(NodeMap, IsRegularOnlyForEqualBlocksOfNeighbours) {
    EXPECT_TRUE(map_nodes(seats_on({5, 5, 9, 9, 7, 7}), 3).regular);
    EXPECT_TRUE(map_nodes(seats_on({5, 5, 5}), 0).regular);
    EXPECT_FALSE(map_nodes(seats_on({5, 5, 9}), 0).regular);
    EXPECT_FALSE(map_nodes(seats_on({5, 5, 9}), 2).regular);  // as every rank sees it
    EXPECT_FALSE(map_nodes(seats_on({5, 9, 5, 9}), 0).regular);
    EXPECT_FALSE(map_nodes(seats_on({5, 5, 9, 9, 5, 5}), 2).regular);
}

TEST(NodeMap, IsCrowdedWhenRanksShareCores) {
    EXPECT_FALSE(map_nodes(seats_on({1, 1}, 0b11), 0).shape.crowded);
    EXPECT_TRUE(map_nodes(seats_on({1, 1, 1}, 0b11), 0).shape.crowded);
    auto bound = seats_on({1, 1}, 0b01);
    bound[1].cpus = {0b10};  // each to a core of its own
    EXPECT_FALSE(map_nodes(bound, 0).shape.crowded);
}

TEST(NodeMap, GivesSmallPartsRoomForAllMembers) {
    std::vector<Seat> many(300, {.node = 1, .cpus = {1}});
    EXPECT_GE(map_nodes(many, 0).shape.outbox_bytes / many.size(), 4096U);
}

TEST(FindSeat, IsTheSameTwice) {
    EXPECT_EQ(find_seat().node, find_seat().node);
    EXPECT_NE(find_seat().cpus, (std::array<std::uint64_t, 16>{}));
}

}  // namespace
}  // namespace mpitrain::collectives
