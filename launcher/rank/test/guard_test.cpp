#include <sys/wait.h>

#include "fake_supervisor.hpp"

// Who dies first, and that nothing is left behind whoever it is. The fixture itself checks the
// latter in the end.
namespace mpitrain::rank {
namespace {

using wire::Ended;

class Guard : public RankTest {
  protected:
    // A rank whose program has daemons and runs.
    Peer running_rank() {
        launch();
        Peer peer = accept();
        agent = peer.expect<wire::Hello>().pid;
        peer.send(wire::Credit{1U << 20U});
        peer.send(order({"daemon-and-wait"}));
        program = peer.expect<wire::Started>().pid;
        peer.expect_output("ready\n");
        return peer;
    }
    pid_t agent = 0;
    pid_t program = 0;
};

TEST_F(Guard, ReportsWhenItsAgentIsKilled) {
    Peer peer = running_rank();
    ASSERT_EQ(::kill(agent, SIGKILL), 0);
    Peer second = accept();
    const auto hello = second.expect<wire::Hello>();
    EXPECT_TRUE(hello.guard);
    EXPECT_EQ(hello.rank, 0);
    const auto ended = second.expect<Ended>();
    EXPECT_EQ(ended.how, Ended::How::agent_lost);
    EXPECT_NE(ended.detail.find("signal 9"), std::string::npos);
    second.expect<wire::Drained>();
    EXPECT_EQ(marked_processes(), std::vector{rank_process})
        << "only the guard waits for its release";
    second.send(wire::Release{});
    EXPECT_EQ(wait_for_rank(), 0);
}

TEST_F(Guard, KnowsTheProgramsOwnEndWhenTheAgentDiesAfterIt) {
    launch();
    Peer peer = accept();
    agent = peer.expect<wire::Hello>().pid;
    peer.send(order({"wait"}));
    program = peer.expect<wire::Started>().pid;
    ASSERT_EQ(::kill(agent, SIGSTOP), 0);  // it cannot see what happens now
    ASSERT_EQ(::kill(program, SIGXCPU), 0);
    ASSERT_TRUE(eventually([&] { return marked_processes().size() == 2; }));
    ASSERT_EQ(::kill(agent, SIGKILL), 0);
    Peer second = accept();
    const auto ended = second.expect<Ended>();
    EXPECT_EQ(ended.how, Ended::How::signaled);
    EXPECT_EQ(ended.signal, SIGXCPU);
    second.send(wire::Release{});
    EXPECT_EQ(wait_for_rank(), 0);
}

TEST_F(Guard, IsNotNeededAfterTheReport) {
    launch();
    Peer peer = accept();
    agent = peer.expect<wire::Hello>().pid;
    peer.send(order({"exit", "4"}));
    EXPECT_EQ(peer.expect<Ended>().code, 4);
    peer.expect<wire::Drained>();
    ASSERT_EQ(::kill(agent, SIGKILL), 0);
    EXPECT_EQ(wait_for_rank(), 0);  // and nobody reports a second time
}

TEST_F(Guard, WhenItIsKilledTheAgentEndsAndReportsAll) {
    Peer peer = running_rank();
    ASSERT_EQ(::kill(rank_process, SIGKILL), 0);
    const auto ended = peer.expect<Ended>();
    EXPECT_EQ(ended.how, Ended::How::agent_lost);
    EXPECT_NE(ended.detail.find("guard"), std::string::npos);
    peer.expect<wire::Drained>();
    peer.send(wire::Release{});
    EXPECT_EQ(wait_for_rank(), SIGKILL);
    expect_nothing_left();
}

TEST_F(Guard, BothKilledLeaveNothingOnceTheEnginesGuardHasActed) {
    Peer peer = running_rank();
    ::kill(rank_process, SIGKILL);
    ::kill(agent, SIGKILL);
    EXPECT_TRUE(eventually([&] {
        return ::kill(program, 0) != 0 || marked_processes().size() <= 2;
    })) << "the program dies with its agent";
    // The two daemons belong to the engine's guard now, which is this test here.
    for (const pid_t pid : marked_processes()) {
        ::kill(pid, SIGKILL);
    }
}

TEST_F(Guard, TheEnginesDeathEndsTheRank) {
    std::array<int, 2> pids{};
    ASSERT_EQ(::pipe(pids.data()), 0);
    const pid_t engine = ::fork();
    if (engine == 0) {
        const pid_t rank = launch();
        [[maybe_unused]] const auto sent = ::write(pids[1], &rank, sizeof rank);
        ::pause();
        ::_exit(0);
    }
    ASSERT_EQ(::read(pids[0], &rank_process, sizeof rank_process),
              static_cast<ssize_t>(sizeof(pid_t)));
    Peer peer = accept();
    peer.send(wire::Credit{1U << 20U});
    peer.send(order({"daemon-and-wait"}));
    peer.expect_output("ready\n");
    ASSERT_EQ(::kill(engine, SIGKILL), 0);
    const auto ended = peer.expect<Ended>();
    EXPECT_EQ(ended.how, Ended::How::agent_lost);
    EXPECT_NE(ended.detail.find("engine"), std::string::npos);
    EXPECT_EQ(ended.leftovers, 2);
    peer.send(wire::Release{});
    expect_nothing_left();
    ::close(pids[0]);
    ::close(pids[1]);
}

TEST_F(Guard, ALostSupervisorEndsTheRank) {
    Peer peer = running_rank();
    peer.close();
    EXPECT_EQ(wait_for_rank(milliseconds(3000)), 0);
    expect_nothing_left(milliseconds(0));
}

TEST_F(Guard, ALostSupervisorStillGivesTheProgramATerm) {
    Peer peer = connect();
    wire::Start start = order({});
    start.command = {
        "sh",
        "-c",
        "trap 'echo bye > farewell; exit' TERM; echo ready; while :; do sleep 0.01; done"};
    peer.send(wire::Credit{1000});
    peer.send(start);
    peer.expect_output("ready\n");
    peer.close();
    EXPECT_EQ(wait_for_rank(milliseconds(3000)), 0);
    EXPECT_EQ(file("farewell"), "bye\n");
}

TEST_F(Guard, ALostSupervisorBeforeTheStartIsTheEnd) {
    connect().close();
    EXPECT_EQ(wait_for_rank(milliseconds(3000)), 0);
}

TEST_F(Guard, TellsTheEnginesStopFromOthers) {
    Peer peer = running_rank();
    for (const int signal : {SIGCONT, SIGTERM}) {  // this process is the engine
        ASSERT_EQ(::kill(-rank_process, signal), 0);
        const auto asked = peer.expect<wire::StopRequested>();
        EXPECT_EQ(asked.signal, signal);
        EXPECT_EQ(asked.sender_pid, ::getpid());
        EXPECT_TRUE(asked.from_engine);
    }
    const pid_t stranger = ::fork();
    if (stranger == 0) {
        ::kill(rank_process, SIGCONT);  // means nothing, from a stranger
        ::kill(agent, SIGINT);
        ::_exit(0);
    }
    const auto asked = peer.expect<wire::StopRequested>();
    EXPECT_EQ(asked.signal, SIGINT);
    EXPECT_EQ(asked.sender_pid, stranger);
    EXPECT_FALSE(asked.from_engine);
    ::waitpid(stranger, nullptr, 0);
}

TEST_F(Guard, NoSignalButKillEndsGuardOrAgent) {
    Peer peer = running_rank();
    for (const int signal :
         {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGTTIN, SIGWINCH, SIGALRM}) {
        ASSERT_EQ(::kill(rank_process, signal), 0);
        ASSERT_EQ(::kill(agent, signal), 0);
    }
    peer.send(wire::Terminate{SIGTERM, 100'000'000});
    EXPECT_EQ(peer.expect<Ended>().how, Ended::How::signaled);
    peer.expect<wire::Drained>();
    peer.send(wire::Release{});
    EXPECT_EQ(wait_for_rank(), 0);
}

TEST_F(Guard, APlatformsNoticeReachesTheProgram) {
    Peer peer = running_rank();
    ASSERT_EQ(::kill(-rank_process, SIGUSR2), 0);
    EXPECT_EQ(peer.expect<Ended>().signal, SIGUSR2);
}

}  // namespace
}  // namespace mpitrain::rank
