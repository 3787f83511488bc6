#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <set>

#include "steps.hpp"

namespace mpitrain::scheduler {
namespace {

using std::chrono::seconds;

// Four nodes with one job of two slots on each: enough is free, but no node is.
Core scattered() {
    Core core = make({.nodes = 4}, "first-fit");
    int job = 0;
    for (int node = 0; node < 4; ++node) {
        say(core, seconds(0), Submitted{gang(++job, 2)});
        say(core, seconds(0), Submitted{gang(++job, 6)});
    }
    for (int other = 2; other <= 8; other += 2) {
        say(core, seconds(1), Ended{JobId(other)});
    }
    return core;
}

TEST(Moves, MakeRoomForAGang) {
    Core core = scattered();
    EXPECT_TRUE(settle(core, seconds(2), Submitted{gang(100, 24)}).empty());
    const auto moves = core.propose_moves(JobId(100));
    ASSERT_TRUE(moves) << moves.error().text();
    EXPECT_EQ(moves->size(), 3U);
    std::set<int> left;
    std::map<int, std::uint64_t> taken;
    for (const Move& move : *moves) {
        left.insert(move.from.at(0).node.value());
        EXPECT_EQ(std::popcount(move.to.at(0).slots), 2);
        EXPECT_EQ(taken[move.to.at(0).node.value()] & move.to.at(0).slots, 0U);
        taken[move.to.at(0).node.value()] |= move.to.at(0).slots;
    }
    for (const auto& [node, slots] : taken) {
        EXPECT_FALSE(left.contains(node));
    }
    const auto started = settle(core, seconds(3), Consolidated{JobId(100)});
    EXPECT_EQ(started.size(), 4U);  // the gang and those that made room
    EXPECT_EQ(core.pending(), 0U);
}

TEST(Moves, AreNotProposedWhereTheyDoNotHelp) {
    Core core = scattered();
    settle(core, seconds(2), Submitted{gang(100, 32)});
    EXPECT_FALSE(core.propose_moves(JobId(100)));  // the others have nowhere to go
    EXPECT_FALSE(core.propose_moves(JobId(7777)));
    EXPECT_TRUE(settle(core, seconds(3), Consolidated{JobId(100)}).empty());
    EXPECT_EQ(core.pending(), 1U);
}

}  // namespace
}  // namespace mpitrain::scheduler
