#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>

#include <fstream>
#include <thread>

#include "fake_supervisor.hpp"
#include "text_file.hpp"

// An agent whose supervisor is on another machine: a sealed connection, no files but its own
// directories, and an end of its own making when it is cut off.
namespace mpitrain::rank {
namespace {

using wire::Ended;

class Network : public RankTest {
  protected:
    Network() {
        key = sealed::random_key();
        listener.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof name;
        auto* const generic = reinterpret_cast<sockaddr*>(&name);
        EXPECT_EQ(::bind(listener.get(), generic, size), 0);
        EXPECT_EQ(::listen(listener.get(), 16), 0);
        EXPECT_EQ(::getsockname(listener.get(), generic, &size), 0);
        // Nobody listens at the first address: the second is tried.
        rank_arguments = {"--control",
                          "tcp:127.0.0.2,127.0.0.1:" + std::to_string(ntohs(name.sin_port)),
                          "--directory",
                          (directory / "node").string()};
    }

    std::function<void()> with_key(const sealed::Key& its_key) {
        return [text = sealed::to_text(its_key)] { ::setenv("MPITRAIN_JOB_KEY", text.c_str(), 1); };
    }
    // As order(), but the supervisor keeps the files.
    wire::Start remote_order(std::vector<std::string> words) {
        wire::Start start = order(std::move(words));
        start.out_path.clear();
        start.err_path.clear();
        start.control_path = (directory / "node/page").string();
        return start;
    }
    Peer running(const wire::Start& start) {
        Peer peer = connect(with_key(*key));
        peer.send(wire::Credit{1U << 20U});
        peer.send(start);
        program = peer.expect<wire::Started>().pid;
        return peer;
    }
    bool exists(const std::string& name) const { return std::filesystem::exists(directory / name); }

    pid_t program = 0;
};

TEST_F(Network, SendsAllOutputAndLeavesNoFile) {
    Peer peer = connect(with_key(*key));
    peer.send(wire::Credit{1U << 30U});
    peer.send(remote_order({"lines", "5000"}));
    EXPECT_EQ(peer.expect<Ended>().code, 0);
    peer.expect<wire::Drained>();
    EXPECT_EQ(std::count(peer.out.begin(), peer.out.end(), '\n'), 5000);
    EXPECT_TRUE(exists("node"));
    peer.send(wire::Release{});
    EXPECT_EQ(wait_for_rank(), 0);
    EXPECT_FALSE(exists("node")) << "the last one out removes it";
    EXPECT_FALSE(exists("logs"));
}

TEST_F(Network, TheKeyIsInNobodysEnvironment) {
    Peer peer = running(remote_order({"wait"}));
    const std::string text = sealed::to_text(*key);
    for (const pid_t pid : marked_processes()) {
        const auto environment =
            read_file("/proc/" + std::to_string(pid) + "/environ", 1U << 20U).value_or("");
        EXPECT_EQ(environment.find(text), std::string::npos) << pid;
    }
    EXPECT_EQ(marked_processes().size(), 3U) << "guard, agent, program";
    peer.close();
    EXPECT_EQ(wait_for_rank(), 0);
}

TEST_F(Network, ObeysNobodyWithoutTheKey) {
    launch(with_key(sealed::random_key()));
    Peer stranger = accept();
    // Each side's greeting is heard; what is sealed then can be read by neither.
    EXPECT_FALSE(stranger.receive(Clock::now() + seconds(2)));
    stranger.send(remote_order({"wait"}));
    EXPECT_EQ(wait_for_rank(), 0);
    EXPECT_TRUE(marked_processes().empty());
    EXPECT_FALSE(exists("node"));
}

TEST_F(Network, WithoutAKeyItDoesNotConnect) {
    launch();
    EXPECT_NE(wait_for_rank(), 0);
}

TEST_F(Network, AnswersEachPing) {
    Peer peer = running(remote_order({"wait"}));
    for (int i = 0; i < 3; ++i) {
        peer.send(wire::Ping{.silence_ns = 5'000'000'000, .time_ns = 0});
        EXPECT_GT(peer.expect<wire::Ping>().time_ns, 0);
    }
    peer.send(wire::Terminate{SIGKILL, 0});
    peer.expect<Ended>();
    peer.send(wire::Release{});
    EXPECT_EQ(wait_for_rank(), 0);
}

TEST_F(Network, EndsItsProgramWhenItHearsNothingMore) {
    Peer peer = running(remote_order({"daemon-and-wait"}));
    peer.expect_output("ready\n");
    const TimePoint last = Clock::now();
    peer.send(wire::Ping{.silence_ns = 400'000'000, .time_ns = 0});
    // The connection stays open, as behind a cable that was pulled.
    EXPECT_EQ(wait_for_rank(), 0);
    EXPECT_GE(Clock::now() - last, milliseconds(400));
    EXPECT_LT(Clock::now() - last, milliseconds(2500));
    expect_nothing_left();
    EXPECT_FALSE(exists("node"));
}

TEST_F(Network, LivesThroughASilenceThatWasAnnounced) {
    Peer peer = running(remote_order({"wait"}));
    peer.send(wire::Ping{.silence_ns = 300'000'000, .time_ns = 0});
    peer.send(wire::Ping{.silence_ns = 0, .time_ns = 0});
    peer.expect<wire::Ping>();
    peer.expect<wire::Ping>();
    std::this_thread::sleep_for(milliseconds(800));
    EXPECT_EQ(::kill(program, 0), 0);
    peer.close();
    EXPECT_EQ(wait_for_rank(), 0);
}

TEST_F(Network, RemovesItsDirectoryWhoeverIsKilled) {
    for (const bool guard_dies : {false, true}) {
        Peer peer = running(remote_order({"wait"}));
        std::ofstream(directory / "node/segment") << "left behind by a library";
        const pid_t agent = marked_processes()[1];
        ::kill(guard_dies ? rank_process : agent, SIGKILL);
        if (!guard_dies) {
            Peer second = accept();
            EXPECT_TRUE(second.expect<wire::Hello>().guard);
            second.expect<wire::Drained>();
            second.send(wire::Release{});
        } else {
            peer.expect<Ended>();
            peer.send(wire::Release{});
        }
        wait_for_rank();
        expect_nothing_left();
        EXPECT_TRUE(eventually([&] { return !exists("node"); }));
    }
}

TEST_F(Network, HoldsTheLocksOfItsSlots) {
    const std::string path = (directory / "locks/cpu-0").string();
    wire::Start start = remote_order({"wait"});
    start.locks = {{path, false}};
    Peer peer = running(start);
    const UniqueFd lock(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_NE(::flock(lock.get(), LOCK_EX | LOCK_NB), 0);
    peer.send(wire::Terminate{SIGKILL, 0});
    peer.expect<Ended>();
    peer.send(wire::Release{});
    wait_for_rank();
    EXPECT_EQ(::flock(lock.get(), LOCK_EX | LOCK_NB), 0);

    Peer second = connect(with_key(*key));
    second.send(start);
    const auto ended = second.expect<Ended>();
    EXPECT_EQ(ended.how, Ended::How::not_started);
    EXPECT_NE(ended.detail.find("cpu-0"), std::string::npos) << ended.detail;
    second.send(wire::Release{});
    wait_for_rank();
}

}  // namespace
}  // namespace mpitrain::rank
