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

TEST(RestartPolicy, LosesNoMoreNodesThanAllowed) {
    AttemptRecord lost;
    lost.verdict.cause = Cause::node_lost;
    EXPECT_TRUE(decide_restart({lost, lost}, 1, 2).restart);
    const RestartDecision third = decide_restart({lost, lost, lost}, 1, 2);
    EXPECT_FALSE(third.restart);
    EXPECT_NE(third.reason.find("--max-node-failures"), std::string::npos);
}

}  // namespace
}  // namespace mpitrain
