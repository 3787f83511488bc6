#include "sight.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace mpitrain::rank {
namespace {

TEST(Sight, TellsAStoppedProcessFromOneThatRuns) {
    const pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    kill(child, SIGSTOP);
    waitpid(child, nullptr, WUNTRACED);
    const auto stopped = look_at_process(child);
    EXPECT_EQ(stopped.state, "T");
    EXPECT_NE(stopped.threads.find(std::to_string(child) + " T "), std::string::npos);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    EXPECT_EQ(look_at_process(child).state, "");
    const auto own = look_at_process(getpid());
    EXPECT_EQ(own.state, "R");
    EXPECT_GT(own.now_ns, stopped.now_ns);
}

}  // namespace
}  // namespace mpitrain::rank
