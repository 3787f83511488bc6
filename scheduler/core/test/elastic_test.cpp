#include <gtest/gtest.h>

#include "steps.hpp"

namespace mpitrain::scheduler {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

GangRequest elastic(int job, int most, int least) {
    GangRequest request = gang(job, most);
    request.shape.min_slots = least;
    return request;
}

TEST(Elastic, StartsWithWhatThereIs) {
    Core core = make({.nodes = 4}, "default");
    say(core, seconds(0), Submitted{gang(1, 8)});
    const auto started = only<Start>(say(core, seconds(0), Submitted{elastic(2, 32, 8)}));
    ASSERT_EQ(started.size(), 1U);
    EXPECT_EQ(slot_count(started[0].where), 24);
    EXPECT_TRUE(only<Start>(say(core, seconds(0), Submitted{elastic(3, 16, 16)})).empty());
    EXPECT_FALSE(core.step({seconds(0), Submitted{elastic(4, 8, 9)}}));
}

TEST(Elastic, HalvesAPartOfANode) {
    Core core = make({.nodes = 1}, "default");
    say(core, seconds(0), Submitted{gang(1, 5)});
    const auto started = only<Start>(say(core, seconds(0), Submitted{elastic(2, 8, 1)}));
    ASSERT_EQ(started.size(), 1U);
    EXPECT_EQ(slot_count(started[0].where), 2);
}

TEST(Elastic, GrowsWhereNobodyWaits) {
    Core core = make({.nodes = 4}, "default");
    settle(core, seconds(0), Submitted{gang(1, 16)});
    settle(core, seconds(0), Submitted{elastic(2, 32, 8)});
    const auto ended = say(core, minutes(10), Ended{JobId(1)});
    EXPECT_TRUE(only<Stop>(ended).empty());  // it has only just started
    ASSERT_EQ(only<WakeAt>(ended).size(), 1U);
    const auto stops = only<Stop>(say(core, minutes(30), Tick{}));
    ASSERT_EQ(stops.size(), 1U);
    EXPECT_EQ(stops[0].reason, StopReason::grown);
    const auto again = settle(core, minutes(30), Ended{JobId(2), 1, true});
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(slot_count(again[0].where), 32);
    EXPECT_TRUE(only<Stop>(say(core, hours(2), Tick{})).empty());
}

// One of a better level gets its slots from the elastic gang, which goes on with fewer.
TEST(Elastic, ShrinksForOthers) {
    Core core = make({.nodes = 4}, "default");
    settle(core, seconds(0), Submitted{elastic(1, 16, 8)});
    settle(core, seconds(0), Submitted{gang(2, 16)});
    settle(core, hours(9), Tick{});
    const auto started = settle(core, hours(9), Submitted{gang(3, 8)});
    ASSERT_EQ(started.size(), 2U);
    EXPECT_EQ(started[0].job, JobId(3));
    EXPECT_EQ(started[1].job, JobId(1));
    EXPECT_EQ(slot_count(started[1].where), 8);
    EXPECT_EQ(core.explain(JobId(2))->state, GangState::running);
}

}  // namespace
}  // namespace mpitrain::scheduler
