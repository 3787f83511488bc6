#include "in_child.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "machines.hpp"

namespace mpitrain::topology {
namespace {

TEST(InChild, BringsBackTheTopology) {
    NodeTopology node;
    node.host = "child";
    node.cores = test::cores(3);
    EXPECT_EQ(in_child([&]() -> Result<NodeTopology> { return node; }).value(), node);
}

TEST(InChild, BringsBackAnErrorWithItsCodeAndMend) {
    const auto answer = in_child([]() -> Result<NodeTopology> {
        return Error(ErrorCode::unsatisfiable, "no GPU").mend("use --device cpu");
    });
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error(), Error(ErrorCode::unsatisfiable, "no GPU").mend("use --device cpu"));
}

TEST(InChild, SurvivesEveryEndOfTheChild) {
    const auto after = [](void (*end)()) {
        const auto answer = in_child([end]() -> Result<NodeTopology> {
            end();
            return NodeTopology();
        });
        return answer ? "answered" : answer.error().what();
    };
    EXPECT_EQ(after([] { std::raise(SIGKILL); }), "hwloc does not survive this: signal 9");
    EXPECT_EQ(after([] { std::raise(SIGSEGV); }), "hwloc does not survive this: signal 11");
    EXPECT_EQ(after([] { std::raise(SIGALRM); }), "hwloc does not survive this: more than 10 s");
    EXPECT_EQ(after([] { _exit(0); }), "hwloc does not survive this: no answer");
    EXPECT_EQ(after([] { throw std::bad_alloc(); }), "hwloc does not survive this: no answer");
}

TEST(InChild, IsQuietAndKeepsTheParentsHandlers) {
    testing::internal::CaptureStderr();
    const auto answer = in_child([]() -> Result<NodeTopology> {
        const char text[] = "noise";
        return write(STDERR_FILENO, text, sizeof text) > 0 ? Result<NodeTopology>(NodeTopology())
                                                           : Error(ErrorCode::io, "closed");
    });
    EXPECT_TRUE(answer);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace mpitrain::topology
