#include <gtest/gtest.h>

#include <set>

#include "steps.hpp"

namespace mpitrain::scheduler {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

GangRequest lasting(int job, int slots, Nanoseconds estimate) {
    GangRequest request = gang(job, slots);
    request.estimate = estimate;
    return request;
}

Window maintenance(Nanoseconds begin, Nanoseconds end, std::vector<NodeId> nodes) {
    return {.name = "maintenance", .begin = begin, .end = end, .nodes = std::move(nodes)};
}

TEST(Nodes, AreThoseThatAShapeNames) {
    Core core = make({.nodes = 4, .nodes_per_leaf = 2}, "default");
    GangRequest request = gang(1, 16);
    request.shape.nodes = {"n1", "n2", "n3"};
    request.shape.not_nodes = {"n2"};
    const auto started = only<Start>(say(core, seconds(0), Submitted{request}));
    ASSERT_EQ(started.size(), 1U);
    EXPECT_EQ(started[0].where[0].node, NodeId(1));
    EXPECT_EQ(started[0].where[1].node, NodeId(3));
    request.job = JobId(2);
    request.shape.slots = 24;
    const auto rejected = only<Rejected>(say(core, seconds(0), Submitted{request}));
    ASSERT_EQ(rejected.size(), 1U);
    EXPECT_NE(rejected[0].why.text().find("16"), std::string::npos) << rejected[0].why.text();
    request.job = JobId(3);
    request.shape.slots = 2;
    say(core, seconds(0), Submitted{request});
    EXPECT_EQ(core.explain(JobId(3))->cause, Cause::place_off);
}

TEST(Nodes, ArePreemptedAloneForWhoNamesThem) {
    Core core = make({.nodes = 3}, "default");
    for (int job = 0; job < 3; ++job) {
        say(core, seconds(0), Submitted{gang(job, 8)});
    }
    GangRequest request = gang(9, 8);
    request.shape.nodes = {"n1"};
    const auto stops = only<Stop>(say(core, hours(9), Submitted{request}));
    ASSERT_EQ(stops.size(), 1U);
    EXPECT_EQ(stops[0].job, JobId(1));
}

TEST(Window, KeepsAwayWhoWouldRunIntoIt) {
    Core core = make({.nodes = 2}, "first-fit");
    say(core, seconds(0), WindowSet{maintenance(hours(2), hours(3), {NodeId(0)})});
    EXPECT_EQ(only<Start>(say(core, seconds(0), Submitted{lasting(1, 8, hours(9))}))
                  .at(0)
                  .where.at(0)
                  .node,
              NodeId(1));
    EXPECT_TRUE(only<Start>(say(core, seconds(0), Submitted{lasting(2, 8, hours(3))})).empty());
    EXPECT_EQ(core.explain(JobId(2))->cause, Cause::window);
    // One that ends before it passes.
    EXPECT_EQ(only<Start>(say(core, seconds(0), Submitted{lasting(3, 8, hours(1))})).size(), 1U);
    say(core, hours(1), Ended{JobId(3)});
    EXPECT_TRUE(only<Start>(say(core, hours(2), Tick{})).empty());
    EXPECT_EQ(jobs_of(only<Start>(say(core, hours(3), Tick{}))), std::vector{JobId(2)});
}

TEST(Window, StopsWhoIsStillThereAndWakesForBothEnds) {
    Core core = make({.nodes = 1}, "default");
    const auto actions =
        say(core, seconds(0), WindowSet{maintenance(hours(2), hours(3), {NodeId(0)})});
    EXPECT_EQ(only<WakeAt>(actions).at(0).at, Nanoseconds(hours(2)));
    EXPECT_EQ(only<Start>(say(core, hours(1), Submitted{gang(1, 8)})).size(), 1U);
    const auto begun = say(core, hours(2), Tick{});
    ASSERT_EQ(only<Stop>(begun).size(), 1U);
    EXPECT_EQ(only<Stop>(begun)[0].reason, StopReason::window);
    EXPECT_TRUE(settle(core, hours(2), Ended{JobId(1), 1, true}).empty());
    EXPECT_EQ(settle(core, hours(3), Tick{}).size(), 1U);
}

TEST(Window, ReservedOneIsForThoseThatNameIt) {
    Core core = make({.nodes = 3}, "first-fit");
    Window window{.name = "lesson",
                  .begin = hours(1),
                  .end = hours(2),
                  .nodes = {NodeId(1), NodeId(2)},
                  .reserved = true};
    say(core, seconds(0), WindowSet{window});
    GangRequest request = gang(1, 16);
    request.window = "lesson";
    EXPECT_TRUE(only<Start>(say(core, seconds(0), Submitted{request})).empty());
    EXPECT_EQ(jobs_of(settle(core, hours(1), Tick{})), std::vector{JobId(1)});
    EXPECT_EQ(settle(core, hours(1), Submitted{gang(2, 8)}).at(0).where.at(0).node, NodeId(0));
    EXPECT_TRUE(settle(core, hours(1), Submitted{gang(3, 8)}).empty());
    say(core, minutes(70), Ended{JobId(1)});
    EXPECT_EQ(jobs_of(settle(core, minutes(80), WindowLifted{"lesson"})), std::vector{JobId(3)});
    request.job = JobId(4);
    EXPECT_FALSE(core.step({minutes(80), Submitted{request}}));  // there is none of that name now
}

TEST(Window, RefusesSenselessOnes) {
    Core core = make({.nodes = 1}, "default");
    EXPECT_FALSE(core.step({seconds(0), WindowSet{maintenance(hours(2), hours(2), {NodeId(0)})}}));
    EXPECT_FALSE(core.step({seconds(0), WindowSet{maintenance(hours(2), hours(3), {NodeId(1)})}}));
    EXPECT_FALSE(core.step({seconds(0), WindowSet{maintenance(hours(2), hours(3), {})}}));
    EXPECT_FALSE(core.step({seconds(0), WindowLifted{"maintenance"}}));
}

}  // namespace
}  // namespace mpitrain::scheduler
