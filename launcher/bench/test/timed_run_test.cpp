#include "timed_run.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace mpitrain::bench {
namespace {

TimedCommand shell(const std::string& script) {
    // Tests run at the same time, each in a process of its own.
    const std::string files = testing::TempDir() + "timed-run-" + std::to_string(::getpid());
    return {.argv = {"sh", "-c", script},
            .environment = {{"PATH", "/usr/bin:/bin"}, {"GREETING", "hello"}},
            .out_path = files + ".out",
            .err_path = files + ".err"};
}

TEST(RunTimed, SaysHowLongItTook) {
    const auto taken = run_timed(shell("sleep 0.05"));
    ASSERT_TRUE(taken) << taken.error().text();
    EXPECT_GE(*taken, 50);
}

TEST(RunTimed, GivesTheEnvironmentAndKeepsTheOutput) {
    const TimedCommand command = shell("echo $GREETING");
    ASSERT_TRUE(run_timed(command));
    std::ifstream file(command.out_path);
    std::string line;
    std::getline(file, line);
    EXPECT_EQ(line, "hello");
}

TEST(RunTimed, NeverMakesANumberOfAFailure) {
    const auto failed = run_timed(shell("echo first >&2; echo because >&2; exit 3"));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().what(), "failed with exit code 3: because");
    const auto killed = run_timed(shell("kill -9 $$"));
    ASSERT_FALSE(killed);
    EXPECT_EQ(killed.error().what(), "failed with signal 9: ");
}

TEST(RunTimed, KillsWhatExceedsItsDeadline) {
    TimedCommand command = shell("exec sleep 60");
    command.deadline = std::chrono::milliseconds(20);
    const auto late = run_timed(command);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code(), ErrorCode::deadline_exceeded);
}

TEST(RunTimed, NamesAProgramThatIsNotThere) {
    TimedCommand command = shell("");
    command.argv = {"/nonexistent/program"};
    const auto failed = run_timed(command);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().where(), "/nonexistent/program");
}

}  // namespace
}  // namespace mpitrain::bench
