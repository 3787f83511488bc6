#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "fake_supervisor.hpp"
#include "text_file.hpp"

// The output of a real program through a real agent: complete, whole, and never in the program's
// way.
namespace mpitrain::rank {
namespace {

using wire::Ended;

class Output : public RankTest {};

constexpr int many = 10'000;

void expect_numbered_lines(const std::string& text, int count) {
    std::size_t at = 0;
    for (int i = 0; i < count; ++i) {
        const std::string number = std::to_string(i);
        ASSERT_EQ(text.compare(at, number.size(), number), 0) << "line " << i;
        const std::size_t end = text.find('\n', at);
        ASSERT_NE(end, std::string::npos);
        ASSERT_EQ(text.find_first_not_of('x', at + number.size()), end) << "line " << i;
        at = end + 1;
    }
    EXPECT_EQ(at, text.size());
}

TEST_F(Output, AStalledReaderNeitherBlocksTheProgramNorLosesALine) {
    Peer peer = connect();
    peer.send(order({"lines", std::to_string(many)}));
    const auto ended = peer.expect<Ended>();  // without a byte of credit
    EXPECT_EQ(ended.code, 0);
    EXPECT_TRUE(peer.out.empty());
    expect_numbered_lines(file("logs/rank-0.out"), many);
    constexpr std::size_t window = 128U << 10U;
    std::size_t granted = 0;
    const TimePoint deadline = Clock::now() + seconds(10);
    for (bool drained = false; !drained;) {  // a reader that takes a window's worth at a time
        if (peer.out.size() + window > granted) {
            peer.send(wire::Credit{window});
            granted += window;
        }
        const auto message = peer.receive(deadline);
        ASSERT_TRUE(message);
        ASSERT_LE(peer.out.size(), granted);
        drained = std::holds_alternative<wire::Drained>(*message);
    }
    EXPECT_EQ(peer.out, file("logs/rank-0.out"));
    for (const std::string& piece : peer.out_pieces) {
        EXPECT_EQ(piece.back(), '\n') << "a torn line";
    }
}

TEST_F(Output, CanStayOnTheNode) {
    wire::Start start = order({"lines", "100"});
    start.forward = false;
    EXPECT_EQ(run(start).code, 0);
    EXPECT_EQ(out, "");
    expect_numbered_lines(file("logs/rank-0.out"), 100);
}

TEST_F(Output, ATerminalMakesProgramsLineBuffered) {
    Peer peer = connect();
    wire::Start start = order({"buffered-line"});
    start.pty = true;
    start.rows = 24;
    start.columns = 80;
    start.input = true;
    peer.send(wire::Credit{1000});
    peer.send(start);
    peer.expect_output("no flush\n");  // while it waits for input; unchanged, no "\r\n"
    peer.send(wire::Input{"q", false});
    EXPECT_EQ(peer.expect<Ended>().code, 0);
}

TEST_F(Output, LosesNothingAtATerminalsEnd) {
    wire::Start start = order({"lines", "3000"});
    start.pty = true;
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(run(start).code, 0);
        expect_numbered_lines(out, 3000);
    }
}

TEST_F(Output, StatesInPlaceWhatAFullDiskTook) {
    constexpr rlim_t limit = 64U << 10U;
    Peer peer = connect([] {
        const rlimit small{limit, limit};  // for the agent's files; pipes have no size
        ::setrlimit(RLIMIT_FSIZE, &small);
    });
    peer.send(wire::Credit{1U << 30U});
    peer.send(order({"lines", std::to_string(many)}));
    EXPECT_EQ(peer.expect<Ended>().code, 0);
    peer.expect<wire::Drained>();
    peer.send(wire::Release{});
    EXPECT_EQ(wait_for_rank(), 0);
    expect_numbered_lines(peer.out, many);  // the reader had all of it
    const std::string kept = file("logs/rank-0.out");
    const std::size_t notice = kept.find("[mpitrain: ");
    ASSERT_NE(notice, std::string::npos);
    EXPECT_EQ(kept.substr(0, notice), peer.out.substr(0, notice));
    EXPECT_EQ(kept.substr(notice),
              "[mpitrain: " + std::to_string(peer.out.size() - notice) +
                  " bytes dropped: File too large]\n");
}

std::string expected_numbers() {
    std::string numbers;
    for (int i = 1; i <= 200000; ++i) {
        numbers += std::to_string(i) + "\n";
    }
    return numbers;
}

TEST_F(Output, GoesOnWhenAFullDiskHasRoomAgain) {
    const std::filesystem::path disk = directory / "disk";
    std::filesystem::create_directory(disk);
    if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
        GTEST_SKIP() << "cannot mount a small disk here";
    }
    Peer peer = connect();
    wire::Start start = order({});
    start.command = {"sh", "-c", "seq 1 200000; echo half; read x; echo after; echo end"};
    start.input = true;
    start.out_path = disk / "out";
    peer.send(wire::Credit{1U << 30U});
    peer.send(start);
    peer.expect_output("half\n");
    ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=1m"), 0);
    peer.send(wire::Input{"\n", true});
    EXPECT_EQ(peer.expect<Ended>().code, 0);
    peer.expect<wire::Drained>();
    peer.send(wire::Release{});
    EXPECT_EQ(wait_for_rank(), 0);
    const std::string kept = file("disk/out");
    EXPECT_EQ(::umount(disk.c_str()), 0);
    const std::size_t notice = kept.find("[mpitrain: ");
    ASSERT_NE(notice, std::string::npos);
    unsigned long long dropped = 0;
    ASSERT_EQ(std::sscanf(kept.c_str() + notice, "[mpitrain: %llu bytes", &dropped), 1);
    const std::size_t after = kept.find('\n', notice) + 1;
    EXPECT_EQ(
        kept.substr(notice, after - notice),
        "[mpitrain: " + std::to_string(dropped) + " bytes dropped: No space left on device]\n");
    EXPECT_TRUE(kept.ends_with("half\nafter\nend\n"));
    // What is before and after the notice, and what it counts, is all there was. On a busy machine
    // the reader lags behind what the agent keeps for it, and is told so as well.
    const std::string all = expected_numbers() + "half\nafter\nend\n";
    const std::size_t before =
        kept[notice - 1] == '\n' && all[notice - 1] != '\n' ? notice - 1 : notice;
    EXPECT_EQ(all.substr(0, before), kept.substr(0, before));
    EXPECT_EQ(before + dropped + (kept.size() - after), all.size());
    EXPECT_TRUE(all.ends_with(kept.substr(after)));
    if (peer.out.find("[mpitrain: ") == std::string::npos) {
        EXPECT_EQ(peer.out, all);
    }
}

// The control page through the agent, with a program that uses the client.
class Page : public RankTest {};

TEST_F(Page, ProgressAndAnAgreedStop) {
    Peer peer = connect();
    peer.send(wire::Credit{1000});
    peer.send(order({"train"}));
    peer.expect_output("ready\n");
    EXPECT_GT(peer.expect<wire::Progress>().step, 0U);
    const auto later = peer.expect<wire::Progress>();
    EXPECT_EQ(later.total, 1000U);
    ASSERT_EQ(later.metrics.size(), 1U);
    EXPECT_EQ(later.metrics[0].name, "loss");
    peer.send(wire::StopPrepare{});
    const auto prepared = peer.expect<wire::StopPrepared>();
    EXPECT_EQ(prepared.use, wire::ClientUse::polls);
    ASSERT_TRUE(prepared.last_answered);
    const std::uint64_t stop = *prepared.last_answered + 5;
    peer.send(wire::StopDecide{stop});
    const auto ended = peer.expect<Ended>();
    EXPECT_EQ(ended.code, 0);
    EXPECT_TRUE(ended.told_stop);
    peer.expect<wire::Drained>();
    EXPECT_EQ(peer.out, "ready\nstopped " + std::to_string(stop) + "\n");
}

TEST_F(Page, ATermToTheProgramFromOutsideIsAStopRequest) {
    Peer peer = connect();
    peer.send(wire::Credit{1000});
    peer.send(order({"train"}));
    const auto started = peer.expect<wire::Started>();
    peer.expect<wire::Progress>();
    ASSERT_EQ(::kill(started.pid, SIGTERM), 0);
    const auto asked = peer.expect<wire::StopRequested>();
    EXPECT_EQ(asked.signal, SIGTERM);
    EXPECT_EQ(asked.sender_pid, ::getpid());
    EXPECT_FALSE(asked.from_engine);
    peer.send(wire::Terminate{SIGTERM, 60'000'000'000});  // the agent's own is an order
    EXPECT_EQ(peer.expect<Ended>().signal, SIGTERM);
}

TEST_F(Page, NoCommitIsLostHoweverFastTheyCome) {
    constexpr std::uint64_t commits = 200;  // three times what the page keeps
    Peer peer = connect();
    peer.send(order({"commit", std::to_string(commits)}));
    for (std::uint64_t step = 0; step < commits; ++step) {
        ASSERT_EQ(peer.expect<wire::Commit>().step, step);
    }
    EXPECT_EQ(peer.expect<Ended>().code, 0);
}

TEST_F(Page, AProgramWithoutTheClientHasNone) {
    Peer peer = connect();
    wire::Start start = order({});
    start.command = {"sh", "-c", "echo ready; read x"};
    start.input = true;
    peer.send(wire::Credit{1000});
    peer.send(start);
    peer.expect_output("ready\n");
    peer.send(wire::StopPrepare{});
    const auto prepared = peer.expect<wire::StopPrepared>();
    EXPECT_EQ(prepared.use, wire::ClientUse::none);
    EXPECT_FALSE(prepared.last_answered);
    peer.send(wire::Input{"\n", true});
    const auto ended = peer.expect<Ended>();
    EXPECT_FALSE(ended.told_stop);
    peer.send(wire::Release{});
    EXPECT_EQ(wait_for_rank(), 0);
    EXPECT_FALSE(std::filesystem::exists(start.control_path)) << "the page is removed in the end";
}

}  // namespace
}  // namespace mpitrain::rank
