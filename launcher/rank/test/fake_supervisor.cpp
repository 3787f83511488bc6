#include "fake_supervisor.hpp"

#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>
#include <fstream>
#include <sstream>
#include <thread>

#include "process_tree.hpp"
#include "program.hpp"
#include "text_file.hpp"

namespace mpitrain::rank {
namespace {

sockaddr_un address_of(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
}

}  // namespace

std::string test_program() {
    return MPITRAIN_TEST_PROGRAM;
}

std::string rank_program() {
    return MPITRAIN_RANK_PROGRAM;
}

bool eventually(const std::function<bool()>& condition, milliseconds limit) {
    const TimePoint deadline = Clock::now() + limit;
    while (!condition()) {
        if (Clock::now() >= deadline) {
            return false;
        }
        std::this_thread::sleep_for(milliseconds(2));
    }
    return true;
}

Peer::Peer(UniqueFd socket, const sealed::Key& key)
    : socket_(std::move(socket)),
      sealed_(std::make_unique<sealed::SealedStream>(key, sealed::Side::supervisor)) {
    const TimePoint deadline = Clock::now() + seconds(10);
    send_bytes(sealed_->greeting());
    while (!sealed_->greeted() && read_some(deadline)) {
    }
}

bool Peer::send_bytes(const std::string& bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count =
            ::send(socket_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
        if (count <= 0) {
            return false;
        }
        done += static_cast<std::size_t>(count);
    }
    return true;
}

void Peer::send(const wire::Message& message) {
    const std::string bytes = wire::encode(message);
    ASSERT_TRUE(send_bytes(sealed_ ? sealed_->seal(bytes) : bytes));
}

bool Peer::read_some(TimePoint deadline) {
    pollfd ready{socket_.get(), POLLIN, 0};
    if (::poll(&ready, 1, poll_timeout(deadline)) <= 0) {
        return false;
    }
    std::array<char, 65536> bytes;
    const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (count <= 0) {
        return false;
    }
    std::string plain(bytes.data(), static_cast<std::size_t>(count));
    if (sealed_) {
        const std::string came = std::exchange(plain, "");
        if (!sealed_->receive(came, plain)) {
            return false;
        }
    }
    decoder_.append(plain.data(), plain.size());
    return true;
}

std::optional<wire::Message> Peer::receive(TimePoint deadline) {
    for (;;) {
        auto message = decoder_.next();
        if (!message) {
            ADD_FAILURE() << message.error().text();
            return std::nullopt;
        }
        if (message->has_value()) {
            if (const auto* output = std::get_if<wire::Output>(&**message)) {
                (output->stream == wire::Stream::out ? out : err) += output->bytes;
                if (output->stream == wire::Stream::out) {
                    out_pieces.push_back(output->bytes);
                }
            }
            return *message;
        }
        if (!read_some(deadline)) {
            return std::nullopt;
        }
    }
}

void Peer::expect_output(const std::string& text) {
    const TimePoint deadline = Clock::now() + seconds(10);
    while (out.find(text) == std::string::npos) {
        ASSERT_TRUE(receive(deadline)) << "only this came: " << out;
    }
}

RankTest::RankTest() {
    ::prctl(PR_SET_CHILD_SUBREAPER,
            1);  // orphans come to us, not to a PID 1 that may not reap them
    std::string name = (std::filesystem::temp_directory_path() / "mpitrain-rank-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    marker = "MPITRAIN_TEST_MARKER=" + directory.filename().string();
    listener.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(directory / "control");
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(::listen(listener.get(), 16), 0);
    rank_arguments = {"--control", "unix:" + (directory / "control").string()};
}

RankTest::~RankTest() {
    expect_nothing_left();
    for (const pid_t pid : marked_processes()) {
        ::kill(pid, SIGKILL);
    }
    reap_children([](const siginfo_t&) {});
    std::filesystem::remove_all(directory);
}

pid_t RankTest::launch(const std::function<void()>& prepare) {
    rank_process = ::fork();
    if (rank_process == 0) {
        ::setpgid(0, 0);                             // as the engine does
        ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);  // the test's own surroundings are not the test
        ::putenv(marker.data());
        ::setenv("OMPI_COMM_WORLD_RANK", "0", 1);
        ::setenv("PMIX_NAMESPACE", "given-by-the-engine", 1);
        prepare();
        std::vector<std::string> words = {"mpitrain-rank"};
        words.insert(words.end(), rank_arguments.begin(), rank_arguments.end());
        ::execv(rank_program().c_str(), exec_list(words).data());
        ::_exit(127);
    }
    return rank_process;
}

Peer RankTest::accept() {
    pollfd ready{listener.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 10'000), 1) << "nobody connected";
    UniqueFd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    return key ? Peer(std::move(socket), *key) : Peer(std::move(socket));
}

Peer RankTest::connect(const std::function<void()>& prepare) {
    launch(prepare);
    Peer peer = accept();
    const auto hello = peer.expect<wire::Hello>();
    EXPECT_EQ(hello.version, wire::protocol_version);
    EXPECT_EQ(hello.rank, 0);
    EXPECT_FALSE(hello.guard);
    return peer;
}

wire::Start RankTest::order(std::vector<std::string> arguments) {
    wire::Start start;
    start.command = {test_program()};
    std::move(arguments.begin(), arguments.end(), std::back_inserter(start.command));
    start.env = {{"MPITRAIN_TEST_MARKER", directory.filename().string()},
                 {"PATH", "/usr/local/bin:/usr/bin:/bin"},
                 {"PMIX_NAMESPACE", "the submitter's"},
                 {"GREETING", "hello"}};
    start.workdir = directory.string();
    start.out_path = (directory / "logs/rank-0.out").string();
    start.err_path = (directory / "logs/rank-0.err").string();
    start.control_path = (directory / "page").string();
    return start;
}

wire::Ended RankTest::run(const wire::Start& start) {
    Peer peer = connect();
    peer.send(wire::Credit{1U << 30U});
    peer.send(start);
    auto ended = peer.expect<wire::Ended>();
    peer.expect<wire::Drained>();
    out = peer.out;
    err = peer.err;
    peer.send(wire::Release{});
    EXPECT_EQ(wait_for_rank(), 0);
    return ended;
}

int RankTest::wait_for_rank(milliseconds limit) {
    int status = -1;
    EXPECT_TRUE(eventually(
        [&] { return ::waitpid(rank_process, &status, WNOHANG) == rank_process; }, limit))
        << "mpitrain-rank does not end";
    return status;
}

std::vector<pid_t> RankTest::marked_processes() const {
    std::vector<pid_t> marked;
    for (const ProcessStat& process : all_processes()) {
        if (process.state == 'Z' || process.pid == ::getpid()) {
            continue;
        }
        const auto environment =
            read_file("/proc/" + std::to_string(process.pid) + "/environ", 1U << 20U);
        if (environment && environment->find(marker) != std::string::npos) {
            marked.push_back(process.pid);
        }
    }
    return marked;
}

void RankTest::expect_nothing_left(milliseconds limit) {
    const bool none = eventually(
        [&] {
            reap_children([](const siginfo_t&) {});
            return marked_processes().empty();
        },
        limit);
    EXPECT_TRUE(none) << marked_processes().size() << " processes are left";
}

std::string RankTest::file(const std::string& name) const {
    return read_file(directory / name, 64U << 20U).value_or("(no such file)");
}

}  // namespace mpitrain::rank
