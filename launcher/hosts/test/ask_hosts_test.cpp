#include "mpitrain/hosts/ask_hosts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "parallel_commands.hpp"

namespace mpitrain::hosts {
namespace {

using namespace std::chrono_literals;

TEST(RunInParallel, GivesEachItsOwnEnd) {
    const auto ends = run_in_parallel({{"sh", "-c", "echo one; echo two >&2; exit 3"},
                                       {"no-such-program-here"},
                                       {"sh", "-c", "kill -9 $$"}},
                                      10s);
    ASSERT_EQ(ends.size(), 3U);
    EXPECT_EQ(ends[0].status, 3);
    EXPECT_EQ(ends[0].out, "one\n");
    EXPECT_EQ(ends[0].err, "two\n");
    EXPECT_EQ(ends[1].status, -1);
    EXPECT_NE(ends[1].err, "");
    EXPECT_EQ(ends[2].status, 128 + 9);
}

TEST(RunInParallel, RunsThemAtOnceAndEndsThoseThatAreLate) {
    std::vector<std::vector<std::string>> commands(100, {"sleep", "100"});
    commands.front() = {"echo", "quick"};
    const auto begin = std::chrono::steady_clock::now();
    const auto ends = run_in_parallel(commands, 1500ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
    EXPECT_EQ(ends.front().out, "quick\n");
    EXPECT_FALSE(ends.back().in_time);
    EXPECT_NE(ends.back().status, 0);
}

TEST(SshArguments, TheUsersComeFirst) {
    EXPECT_THAT(ssh_arguments({"-F", "cfg"}, 2500ms),
                testing::ElementsAre("-F", "cfg", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3"));
}

TEST(DescribeFailures, NamesEachHostAndItsReason) {
    const NodeFacts fine;
    std::vector<Answer> answers = {
        {{"h1", "", {}, {}}, fine},
        {{"h2", "", {}, {}}, Error(ErrorCode::not_found, "unknown host").mend("check the name")},
        {{"h3", "", {}, {}}, Error(ErrorCode::unavailable, "refused")}};
    const Error error = describe_failures(answers);
    EXPECT_EQ(error.code(), ErrorCode::not_found);
    EXPECT_EQ(error.text(), "h2: unknown host; h3: refused (check the name)");
    for (int i = 0; i < 10; ++i) {
        answers.push_back({{"x", "", {}, {}}, Error(ErrorCode::unavailable, "refused")});
    }
    EXPECT_NE(describe_failures(answers).what().find("; and 4 more hosts"), std::string::npos);
}

}  // namespace
}  // namespace mpitrain::hosts
