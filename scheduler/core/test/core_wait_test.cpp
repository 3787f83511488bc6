#include <gtest/gtest.h>

#include "steps.hpp"

namespace mpitrain::scheduler {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

GangRequest after(int job, int slots, int other, AfterKind what) {
    GangRequest request = gang(job, slots);
    request.after = {{JobId(other), what}};
    return request;
}

TEST(After, WaitsForAnEndAndStartsThen) {
    Core core = make({.nodes = 2}, "fifo");
    say(core, seconds(0), Submitted{gang(1, 8)});
    EXPECT_TRUE(
        only<Start>(say(core, seconds(0), Submitted{after(2, 8, 1, AfterKind::ended)})).empty());
    EXPECT_EQ(core.held(), 1U);
    EXPECT_EQ(core.explain(JobId(2))->cause, Cause::dependency);
    // It is in nobody's way while it waits.
    EXPECT_EQ(only<Start>(say(core, seconds(1), Submitted{gang(3, 8)})).size(), 1U);
    const auto ended = say(core, seconds(2), Ended{JobId(1), 1, false, false});
    EXPECT_EQ(jobs_of(only<Start>(ended)), std::vector{JobId(2)});
    EXPECT_EQ(core.held(), 0U);
}

TEST(After, StartsBesideOneThatHasStarted) {
    Core core = make({.nodes = 2}, "fifo");
    say(core, seconds(0), Submitted{gang(1, 16)});
    say(core, seconds(0), Submitted{gang(2, 8)});
    say(core, seconds(0), Submitted{after(3, 8, 2, AfterKind::started)});
    EXPECT_EQ(core.held(), 1U);
    const auto started = only<Start>(say(core, seconds(1), Ended{JobId(1)}));
    EXPECT_EQ(jobs_of(started).front(), JobId(2));
    say(core, seconds(1), Tick{});
    EXPECT_EQ(core.running(), 2U);
    EXPECT_EQ(
        only<Start>(say(core, seconds(2), Submitted{after(4, 8, 3, AfterKind::started)})).size(),
        0U);  // waits for slots alone
    EXPECT_EQ(core.held(), 0U);
}

// A chain of those that were to run after a good end goes with the first that has none.
TEST(After, RejectsAChainAfterAFailure) {
    Core core = make({.nodes = 1}, "fifo");
    say(core, seconds(0), Submitted{gang(1, 8)});
    constexpr int chain = 20000;
    for (int job = 2; job <= chain; ++job) {
        say(core, seconds(0), Submitted{after(job, 8, job - 1, AfterKind::succeeded)});
    }
    say(core, seconds(0), Submitted{after(chain + 1, 8, chain, AfterKind::ended)});
    const auto actions = say(core, seconds(1), Ended{JobId(1), 1, false, false});
    EXPECT_EQ(only<Rejected>(actions).size(), static_cast<std::size_t>(chain) - 1);
    EXPECT_EQ(jobs_of(only<Start>(actions)), std::vector{JobId(chain + 1)});
    EXPECT_EQ(core.held(), 0U);
}

TEST(After, AGoodEndLetsTheNextRun) {
    Core core = make({.nodes = 1}, "default");
    say(core, seconds(0), Submitted{gang(1, 8)});
    say(core, seconds(0), Submitted{after(2, 8, 1, AfterKind::succeeded)});
    EXPECT_EQ(jobs_of(only<Start>(say(core, seconds(1), Ended{JobId(1)}))), std::vector{JobId(2)});
}

TEST(After, AnUnknownJobIsAnError) {
    Core core = make({.nodes = 1}, "default");
    EXPECT_FALSE(core.step({seconds(0), Submitted{after(2, 8, 1, AfterKind::ended)}}));
    EXPECT_FALSE(core.step({seconds(0), Submitted{after(2, 8, 2, AfterKind::ended)}}));
    EXPECT_EQ(core.held(), 0U);
}

TEST(Hold, KeepsAJobOutUntilItIsReleased) {
    Core core = make({.nodes = 1}, "fifo");
    GangRequest request = gang(1, 8);
    request.held = true;
    EXPECT_TRUE(only<Start>(say(core, seconds(0), Submitted{request})).empty());
    EXPECT_EQ(core.explain(JobId(1))->state, GangState::held);
    EXPECT_EQ(only<Start>(say(core, seconds(9), Released{JobId(1)})).size(), 1U);
}

TEST(Hold, OfTheFirstLetsTheOthersPass) {
    Core core = make({.nodes = 2}, "fifo");
    say(core, seconds(0), Submitted{gang(1, 8)});
    say(core, seconds(0), Submitted{gang(2, 16)});
    say(core, seconds(0), Submitted{gang(3, 8)});
    EXPECT_EQ(jobs_of(only<Start>(say(core, seconds(1), Held{JobId(2)}))), std::vector{JobId(3)});
}

TEST(Hold, OfARunningJobKeepsItFromRunningAgain) {
    Core core = make({.nodes = 2}, "fifo");
    const auto started = only<Start>(say(core, seconds(0), Submitted{gang(1, 8)}));
    EXPECT_TRUE(only<Stop>(say(core, seconds(1), Held{JobId(1)})).empty());
    say(core, seconds(2), NodeLost{started.at(0).where.at(0).node});
    EXPECT_TRUE(only<Start>(say(core, seconds(2), Ended{JobId(1), 1, true})).empty());
    EXPECT_EQ(core.held(), 1U);
    EXPECT_EQ(only<Start>(say(core, seconds(3), Released{JobId(1)})).at(0).attempt, 2);
}

TEST(NotBefore, WakesUpAtItsTime) {
    Core core = make({.nodes = 1}, "fifo");
    GangRequest request = gang(1, 8);
    request.not_before = hours(2);
    const auto actions = say(core, seconds(0), Submitted{request});
    ASSERT_EQ(only<WakeAt>(actions).size(), 1U);
    EXPECT_EQ(only<WakeAt>(actions)[0].at, Nanoseconds(hours(2)));
    EXPECT_TRUE(only<Start>(say(core, hours(1), Tick{})).empty());
    EXPECT_EQ(only<Start>(say(core, hours(2), Tick{})).size(), 1U);
}

TEST(Array, NeverHasMoreAtWorkThanItsLimit) {
    Core core = make({.nodes = 2}, "default");
    for (int job = 1; job <= 9; ++job) {
        GangRequest request = gang(job, 1);
        request.array = ArrayPlace{JobId(1), 3};
        say(core, seconds(0), Submitted{request});
        EXPECT_LE(core.running(), 3U);
    }
    EXPECT_EQ(core.held(), 6U);
    EXPECT_EQ(core.explain(JobId(9))->cause, Cause::array_limit);
    say(core, seconds(1), Cancelled{JobId(5)});  // one that waits
    for (int job : {1, 2, 3, 4, 6, 7, 8, 9}) {
        say(core, minutes(job), Ended{JobId(job)});
        EXPECT_LE(core.running(), 3U);
    }
    EXPECT_EQ(core.running() + core.held(), 0U);
}

TEST(Priority, MovesAJobThatWaits) {
    Core core = make({.nodes = 1}, "fifo");
    say(core, seconds(0), Submitted{gang(1, 8)});
    say(core, seconds(0), Submitted{gang(2, 8)});
    say(core, seconds(0), Submitted{gang(3, 8)});
    say(core, seconds(1), Reprioritised{JobId(3), 5});
    EXPECT_EQ(jobs_of(only<Start>(say(core, seconds(2), Ended{JobId(1)}))), std::vector{JobId(3)});
}

TEST(Priority, TheHigherPreemptsTheLower) {
    Core core = make({.nodes = 1}, "priority");
    say(core, seconds(0), Submitted{gang(1, 8)});
    GangRequest request = gang(2, 4);
    request.priority = 10;
    EXPECT_EQ(jobs_of(settle(core, seconds(1), Submitted{request})), std::vector{JobId(2)});
    EXPECT_TRUE(settle(core, seconds(2), Submitted{gang(3, 8)}).empty());
}

TEST(Deadline, OneThatMustRunNowPreempts) {
    Core core = make({.nodes = 1}, "default");
    say(core, seconds(0), Submitted{gang(1, 8)});
    GangRequest request = gang(2, 8);
    request.estimate = hours(1);
    request.deadline = hours(2);
    request.priority = -9;  // the worst level, and so no preemption but for the deadline
    EXPECT_TRUE(only<Stop>(say(core, seconds(0), Submitted{request})).empty());
    const auto wake = only<WakeAt>(say(core, minutes(20), Tick{}));
    EXPECT_TRUE(settle(core, minutes(40), Tick{}).empty());
    const auto started = settle(core, minutes(49), Tick{});  // 5 + 6 minutes before minute 60
    EXPECT_EQ(jobs_of(started), std::vector{JobId(2)});
}

}  // namespace
}  // namespace mpitrain::scheduler
