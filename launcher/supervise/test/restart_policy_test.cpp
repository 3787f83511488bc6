#include "mpitrain/supervise/restart_policy.hpp"

#include <gtest/gtest.h>

namespace mpitrain {
namespace {

AttemptRecord attempt(Cause cause, bool committed) {
    AttemptRecord record;
    record.verdict.cause = cause;
    record.committed = committed;
    return record;
}

TEST(RestartPolicy, StopsWhenTheRestartsAreUsedUp) {
    EXPECT_TRUE(decide_restart({attempt(Cause::signaled, true)}, 1).restart);
    EXPECT_FALSE(decide_restart({attempt(Cause::signaled, true), attempt(Cause::signaled, true)}, 1)
                     .restart);
    EXPECT_FALSE(decide_restart({attempt(Cause::signaled, true)}, 0).restart);
}

TEST(RestartPolicy, NeverRetriesWhatCannotStart) {
    EXPECT_FALSE(decide_restart({attempt(Cause::not_started, false)}, 9).restart);
}

TEST(RestartPolicy, GivesUpAfterTwoAttemptsWithoutACommit) {
    EXPECT_TRUE(decide_restart({attempt(Cause::exited, false)}, 9).restart);
    EXPECT_FALSE(
        decide_restart({attempt(Cause::exited, false), attempt(Cause::exited, false)}, 9).restart);
    EXPECT_TRUE(
        decide_restart({attempt(Cause::exited, false), attempt(Cause::exited, true)}, 9).restart);
}

TEST(RestartPolicy, LostNodesDoNotCount) {
    const std::vector<AttemptRecord> lost(5, attempt(Cause::node_lost, false));
    EXPECT_TRUE(decide_restart(lost, 1).restart);
    EXPECT_FALSE(decide_restart(lost, 0).restart) << "no restarts means none";
    EXPECT_FALSE(decide_restart(std::vector<AttemptRecord>(101, lost.front()), 1).restart);
}

}  // namespace
}  // namespace mpitrain
