#include <sys/resource.h>
#include <sys/wait.h>

#include <fstream>

#include "fake_supervisor.hpp"
#include "process_tree.hpp"
#include "text_file.hpp"

// The agent in its ordinary life: how programs end, what they find, what they are told.
namespace mpitrain::rank {
namespace {

using wire::Ended;

class Agent : public RankTest {};

TEST_F(Agent, ReportsTheExitCode) {
    for (const int code : {0, 3, 255}) {
        const Ended ended = run({"exit", std::to_string(code)});
        EXPECT_EQ(ended.how, Ended::How::exited);
        EXPECT_EQ(ended.code, code);
        EXPECT_FALSE(ended.by_us);
    }
}

// What the kernel says of the same death without us: whether a core can be written depends on the
// machine.
bool dumps_core(int signal, const std::filesystem::path& directory) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        std::filesystem::current_path(directory);
        const std::string number = std::to_string(signal);
        ::execl(test_program().c_str(), "test_program", "die", number.c_str(), nullptr);
        ::_exit(127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WCOREDUMP(status);
}

TEST_F(Agent, ReportsTheSignalAndWhetherACoreWasDumped) {
    for (const int signal : {SIGSEGV, SIGABRT, SIGKILL, SIGTERM}) {
        const bool core = dumps_core(signal, directory);
        const Ended ended = run({"die", std::to_string(signal)});
        EXPECT_EQ(ended.how, Ended::How::signaled);
        EXPECT_EQ(ended.signal, signal);
        EXPECT_EQ(ended.core_dumped, core);
        EXPECT_FALSE(ended.by_us);
        EXPECT_FALSE(ended.out_of_memory);
    }
}

TEST_F(Agent, SaysWhyAProgramCouldNotBeStarted) {
    wire::Start missing = order({});
    missing.command = {"no-such-program"};
    Ended ended = run(missing);
    EXPECT_EQ(ended.how, Ended::How::not_started);
    EXPECT_EQ(ended.code, ENOENT);
    EXPECT_EQ(ended.detail, "no-such-program: cannot execute: No such file or directory");

    missing.command = {"/etc/passwd"};
    ended = run(missing);
    EXPECT_EQ(ended.how, Ended::How::not_started);
    EXPECT_EQ(ended.code, EACCES);

    wire::Start elsewhere = order({"exit", "0"});
    elsewhere.workdir = "/no/such/directory";
    ended = run(elsewhere);
    EXPECT_EQ(ended.how, Ended::How::not_started);
    EXPECT_NE(ended.detail.find("/no/such/directory"), std::string::npos);

    wire::Start unfiled = order({"exit", "0"});
    unfiled.err_path = "/proc/no/such/file";
    ended = run(unfiled);
    EXPECT_EQ(ended.how, Ended::How::not_started);
    EXPECT_NE(ended.detail.find("/proc/no/such/file"), std::string::npos);

    wire::Start unpinned = order({"exit", "0"});
    unpinned.cpus = "60000";
    ended = run(unpinned);
    EXPECT_EQ(ended.how, Ended::How::not_started);
    EXPECT_EQ(ended.code, EINVAL);
    EXPECT_NE(ended.detail.find("cpus 60000"), std::string::npos);
}

TEST_F(Agent, GivesTheProgramACleanStart) {
    wire::Start start = order({"describe"});
    start.cpus = "0";
    EXPECT_EQ(run(start).code, 0);
    EXPECT_EQ(out,
              "session own\ngroup own\ndeath-signal 9\ncpus 1\ndirectory " + directory.string() +
                  "\nterminal 0 0 0\nopen-files 3\n"
                  "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_F(Agent, OverlaysWhatTheEngineGives) {
    wire::Start start = order({});
    start.command = {"env"};
    EXPECT_EQ(run(start).code, 0);
    EXPECT_NE(out.find("GREETING=hello\n"), std::string::npos);
    EXPECT_NE(out.find("PMIX_NAMESPACE=given-by-the-engine\n"), std::string::npos);
    EXPECT_NE(out.find("OMPI_COMM_WORLD_RANK=0\n"), std::string::npos);
    EXPECT_NE(out.find("MPITRAIN_CONTROL=" + start.control_path + "\n"), std::string::npos);
    EXPECT_EQ(out.find("HOME="), std::string::npos)
        << "the agent's own environment is not the program's";
}

TEST_F(Agent, TerminateGivesTheGraceAndThenKills) {
    Peer peer = connect();
    peer.send(wire::Credit{1000});
    peer.send(order({"ignore-term"}));
    peer.expect_output("ready\n");
    const TimePoint asked = Clock::now();
    peer.send(wire::Terminate{SIGTERM, 200'000'000});
    const auto ended = peer.expect<Ended>();
    EXPECT_GE(Clock::now() - asked, milliseconds(200));
    EXPECT_EQ(ended.how, Ended::How::signaled);
    EXPECT_EQ(ended.signal, SIGKILL);
    EXPECT_TRUE(ended.by_us);
}

TEST_F(Agent, TerminateEndsAStoppedProgramToo) {
    Peer peer = connect();
    peer.send(wire::Credit{1000});
    peer.send(order({"wait"}));
    const auto started = peer.expect<wire::Started>();
    peer.expect_output("ready\n");
    ASSERT_EQ(::kill(started.pid, SIGSTOP), 0);
    peer.send(wire::Terminate{SIGTERM, 60'000'000'000});
    const auto ended = peer.expect<Ended>();
    EXPECT_EQ(ended.signal, SIGTERM);
    EXPECT_TRUE(ended.by_us);
}

TEST_F(Agent, SignalsReachTheProgram) {
    Peer peer = connect();
    peer.send(wire::Credit{1000});
    peer.send(order({"wait"}));
    const auto started = peer.expect<wire::Started>();
    peer.expect_output("ready\n");
    const std::string stat = "/proc/" + std::to_string(started.pid) + "/stat";
    const auto state_is = [&](char state) {
        return eventually(
            [&] { return parse_process_stat(*read_file(stat, 512))->state == state; });
    };
    peer.send(wire::Signal{SIGTSTP});  // as ^Z: the program must really stop
    EXPECT_TRUE(state_is('T'));
    peer.send(wire::Signal{SIGCONT});
    EXPECT_TRUE(state_is('S'));
    peer.send(wire::Signal{SIGUSR1});
    EXPECT_EQ(peer.expect<Ended>().signal, SIGUSR1);
}

TEST_F(Agent, KillsLeftoversHoweverTheyHide) {
    const Ended ended = run({"daemon", "5"});  // they hold the pipes open as well
    EXPECT_EQ(ended.code, 5);
    EXPECT_EQ(ended.leftovers, 2);
    EXPECT_EQ(out, "ready\n");
    expect_nothing_left();
}

TEST_F(Agent, CatchesAProcessThatFleesByForking) {
    const Ended ended = run({"fugitive", "0"});
    EXPECT_EQ(ended.how, Ended::How::exited);
    expect_nothing_left();
}

TEST_F(Agent, KeepsTheErrorTailAndTheErrorFile) {
    wire::Start start = order({});
    start.env.push_back(
        {"TORCHELASTIC_ERROR_FILE", "error.json"});  // relative to the working directory
    start.command = {"sh", "-c", "seq 1 2000 >&2; printf '{\"message\": 1}' > error.json; exit 1"};
    const Ended ended = run(start);
    EXPECT_EQ(ended.error_file, "{\"message\": 1}");
    EXPECT_EQ(ended.stderr_tail.size(), 4096U);
    EXPECT_TRUE(ended.stderr_tail.ends_with("1999\n2000\n"));
    EXPECT_TRUE(file("logs/rank-0.err").ends_with(ended.stderr_tail));
}

TEST_F(Agent, CarriesInput) {
    Peer peer = connect();
    wire::Start start = order({});
    start.command = {"cat"};
    start.input = true;
    peer.send(wire::Credit{1U << 30U});
    peer.send(start);
    const std::string text(300'000, 'y');  // more than a pipe holds
    peer.send(wire::Input{text + "\n", false});
    peer.send(wire::Input{"end\n", true});
    EXPECT_EQ(peer.expect<Ended>().code, 0);
    peer.expect<wire::Drained>();
    EXPECT_EQ(peer.out, text + "\nend\n");
}

TEST_F(Agent, InputThatNobodyReadsFlowsAway) {
    Peer peer = connect();
    wire::Start start = order({});
    start.command = {"sh", "-c", "exec <&-; echo closed; exec sleep 1000"};
    start.input = true;
    peer.send(wire::Credit{1000});
    peer.send(start);
    peer.expect_output("closed\n");
    for (int i = 0; i < 3; ++i) {
        peer.send(wire::Input{"nobody\n", false});
        EXPECT_EQ(peer.expect<wire::Credit>().bytes, 7U);
    }
    peer.send(wire::Terminate{SIGTERM, 0});
    peer.expect<Ended>();
}

TEST_F(Agent, LeavesWhenItIsReleasedUnused) {
    Peer peer = connect();
    peer.send(wire::Release{});
    EXPECT_EQ(wait_for_rank(), 0);
}

TEST_F(Agent, ReportsAStopBeforeTheStart) {
    Peer peer = connect();
    peer.send(wire::Terminate{SIGTERM, 0});
    const auto ended = peer.expect<Ended>();
    EXPECT_EQ(ended.how, Ended::How::not_started);
    EXPECT_EQ(ended.code, ECANCELED);
}

TEST_F(Agent, FailsLoudlyWithoutASupervisor) {
    std::filesystem::remove(directory / "control");
    launch([this] { std::freopen((directory / "talk").c_str(), "w", stderr); });
    EXPECT_EQ(WEXITSTATUS(wait_for_rank()), 1);
    EXPECT_NE(file("talk").find("rank 0: " + (directory / "control").string() +
                                ": cannot connect to the supervisor: No such file or directory"),
              std::string::npos)
        << file("talk");
}

TEST_F(Agent, SaysThatItWasOutOfMemory) {
    const std::filesystem::path group =
        std::filesystem::path("/sys/fs/cgroup/memory") / directory.filename();
    std::error_code failed;
    if (!std::filesystem::create_directory(group, failed)) {
        GTEST_SKIP() << "no writable memory cgroup: " << failed.message();
    }
    std::ofstream(group / "memory.limit_in_bytes") << (16 << 20);
    wire::Start start = order({});
    start.command = {"sh",
                     "-c",
                     "echo $$ > " + (group / "cgroup.procs").string() + "; exec " + test_program() +
                         " eat-memory"};
    const Ended ended = run(start);
    EXPECT_EQ(ended.signal, SIGKILL);
    EXPECT_TRUE(ended.out_of_memory);
    EXPECT_TRUE(eventually([&] { return std::filesystem::remove(group, failed); }));
}

std::uint64_t proportional_bytes(pid_t pid) {
    const auto text = read_file("/proc/" + std::to_string(pid) + "/smaps_rollup", 4096);
    if (!text) {
        return 0;
    }
    const std::size_t at = text->find("Pss:");
    return at == std::string::npos ? 0 : std::strtoull(text->c_str() + at + 4, nullptr, 10) * 1024;
}

TEST_F(Agent, StaysSmall) {
#if defined(MPITRAIN_SANITIZED)
    GTEST_SKIP() << "a sanitizer's shadow is not small";
#endif
    launch();
    Peer peer = accept();
    const auto hello = peer.expect<wire::Hello>();
    peer.send(wire::Credit{1U << 30U});
    wire::Start start = order({});
    start.command = {"sh", "-c", "seq 1 200000; echo done; exec sleep 1000"};
    peer.send(start);
    peer.expect_output("done\n");
    const std::uint64_t both = proportional_bytes(rank_process) + proportional_bytes(hello.pid);
    EXPECT_GT(both, 0U);
    EXPECT_LE(both, 6U << 20U);
    RecordProperty("proportional_bytes", std::to_string(both));
}

}  // namespace
}  // namespace mpitrain::rank
