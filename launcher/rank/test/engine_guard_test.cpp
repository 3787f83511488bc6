#include <sys/wait.h>

#include <fcntl.h>

#include "fake_supervisor.hpp"
#include "program.hpp"

// The guard around the engine, with this test as the supervisor that may die.
namespace mpitrain::rank {
namespace {

class EngineGuard : public RankTest {
  protected:
    // Runs `mpitrain-rank --guard` with these arguments; the lifeline's read end goes with it.
    void guard(std::vector<std::string> arguments) {
        std::array<int, 2> pipe_ends{};
        ASSERT_EQ(::pipe2(pipe_ends.data(), O_CLOEXEC), 0);
        lifeline.reset(pipe_ends[1]);
        const UniqueFd theirs(pipe_ends[0]);
        arguments.insert(arguments.begin(),
                         {rank_program(), "--guard", "--lifeline", std::to_string(theirs.get())});
        rank_process = ::fork();
        if (rank_process == 0) {
            ::fcntl(theirs.get(), F_SETFD, 0);
            // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
            ::putenv(marker.data());
            std::filesystem::current_path(directory);  // where a core may fall
            const std::vector<char*> list = exec_list(arguments);
            ::execv(list[0], list.data());
            ::_exit(127);
        }
    }
    // Until this many marked processes live: the guard, the command, and what it started.
    void await_processes(std::size_t count) {
        ASSERT_TRUE(eventually([&] { return marked_processes().size() >= count; }));
    }
    UniqueFd lifeline;
};

TEST_F(EngineGuard, PassesTheExitStatusOn) {
    const std::map<std::vector<std::string>, int> expected = {
        {{"--", test_program(), "exit", "0"}, 0},
        {{"--", test_program(), "exit", "7"}, 7},
        {{"--", test_program(), "die", "9"}, 128 + 9},
        {{"--", test_program(), "die", "11"}, 128 + 11},
        {{"--", "/no/such/program"}, 127},
        {{"--", "/etc/passwd"}, 126},
        {{}, 2},
        {{"--unknown", "x", "--", "true"}, 2},
        {{"--"}, 2}};
    for (const auto& [arguments, status] : expected) {
        guard(arguments);
        EXPECT_EQ(WEXITSTATUS(wait_for_rank()), status);
    }
}

TEST_F(EngineGuard, EndsWhatTheCommandLeavesBehind) {
    guard({"--", test_program(), "daemon", "3"});
    EXPECT_EQ(WEXITSTATUS(wait_for_rank(seconds(5))), 3);
    expect_nothing_left(milliseconds(0));
}

TEST_F(EngineGuard, EndsAFugitive) {
    guard({"--", test_program(), "fugitive", "3"});
    EXPECT_EQ(WEXITSTATUS(wait_for_rank(seconds(5))), 3);
    expect_nothing_left(milliseconds(0));
}

TEST_F(EngineGuard, EndsAllWhenTheSupervisorDies) {
    guard({"--", test_program(), "daemon-and-wait"});
    await_processes(4);
    lifeline.reset();
    EXPECT_EQ(WEXITSTATUS(wait_for_rank(seconds(5))), 128 + SIGKILL);
    expect_nothing_left(milliseconds(0));
}

TEST_F(EngineGuard, WatchesItsParentWithoutALifeline) {
    const pid_t parent = ::fork();
    if (parent == 0) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
        ::putenv(marker.data());
        if (::fork() == 0) {
            ::execl(rank_program().c_str(),
                    "mpitrain-rank",
                    "--guard",
                    "--",
                    test_program().c_str(),
                    "daemon-and-wait",
                    nullptr);
            ::_exit(127);
        }
        ::pause();
        ::_exit(0);
    }
    await_processes(4);
    ASSERT_EQ(::kill(parent, SIGKILL), 0);
    ::waitpid(parent, nullptr, 0);
    expect_nothing_left();
}

TEST_F(EngineGuard, ItsOwnDeathEndsTheCommand) {
    guard({"--", test_program(), "wait"});
    await_processes(2);
    ASSERT_EQ(::kill(rank_process, SIGKILL), 0);
    EXPECT_EQ(wait_for_rank(), SIGKILL);
    expect_nothing_left();
}

TEST_F(EngineGuard, LeavesStopSignalsToTheSupervisor) {
    guard({"--", test_program(), "wait"});
    await_processes(2);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        ASSERT_EQ(::kill(rank_process, signal), 0);
    }
    ::usleep(100'000);
    EXPECT_EQ(marked_processes().size(), 2U);
    lifeline.reset();
    EXPECT_EQ(WEXITSTATUS(wait_for_rank()), 128 + SIGKILL);
}

TEST_F(EngineGuard, IsOutOfReachOfATerminal) {
    guard({"--", test_program(), "wait"});
    await_processes(2);
    for (const pid_t pid : marked_processes()) {
        EXPECT_NE(::getpgid(pid), ::getpgrp());
        EXPECT_NE(::getsid(pid), ::getsid(0));
    }
    lifeline.reset();
    wait_for_rank();
}

TEST_F(EngineGuard, RemovesItsDirectoriesWhoeverDies) {
    for (const bool supervisor_dies : {false, true}) {
        std::filesystem::create_directories(directory / "session/a/b");
        std::filesystem::create_directory(directory / "shm");
        guard({"--remove",
               (directory / "session").string(),
               "--remove",
               (directory / "shm").string(),
               "--",
               test_program(),
               supervisor_dies ? "wait" : "exit",
               "0"});
        if (supervisor_dies) {
            await_processes(2);
            lifeline.reset();
        }
        wait_for_rank();
        EXPECT_FALSE(std::filesystem::exists(directory / "session"));
        EXPECT_FALSE(std::filesystem::exists(directory / "shm"));
    }
}

// The whole chain at once: supervisor dead, with an engine's guard, a rank's guard, an agent, a
// program and its daemons.
TEST_F(EngineGuard, TheWholeChainGoesWithTheSupervisor) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    ::setenv("OMPI_COMM_WORLD_RANK", "0", 1);
    guard({"--",
           "sh",
           "-c",
           rank_program() + " --control unix:" + (directory / "control").string() + "; exit $?"});
    Peer peer = accept();
    peer.expect<wire::Hello>();
    peer.send(wire::Credit{1000});
    peer.send(order({"daemon-and-wait"}));
    peer.expect_output("ready\n");
    EXPECT_EQ(marked_processes().size(), 7U);
    lifeline.reset();
    wait_for_rank(seconds(5));
    expect_nothing_left(milliseconds(0));
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    ::unsetenv("OMPI_COMM_WORLD_RANK");
}

}  // namespace
}  // namespace mpitrain::rank
