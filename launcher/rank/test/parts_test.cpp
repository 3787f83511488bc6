#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "attachment.hpp"
#include "control_file.hpp"
#include "held_port.hpp"
#include "mpitrain/client.hpp"
#include "oom_watch.hpp"
#include "process_tree.hpp"
#include "program.hpp"
#include "remove_tree.hpp"
#include "text_file.hpp"

// The parts that the agent and the guards are made of, one by one.
namespace mpitrain::rank {
namespace {

namespace fs = std::filesystem;

TEST(ProcessStat, ReadsAroundAnyName) {
    const auto process = parse_process_stat("42 (a) b) (c) S 7 -1 9 0 -1 4194304 ");
    ASSERT_TRUE(process);
    EXPECT_EQ(process->pid, 42);
    EXPECT_EQ(process->state, 'S');
    EXPECT_EQ(process->parent, 7);
    EXPECT_EQ(process->group, -1);
    EXPECT_EQ(process->session, 9);
    for (const char* bad :
         {"", "42", "42 (a)", "42 (a) S", "42 (a) S x", "(a) S 1 2 3", "42 (a) S 1 2"}) {
        EXPECT_FALSE(parse_process_stat(bad)) << bad;
    }
}

TEST(ProcessTree, SeesItselfAmongAll) {
    const auto all = all_processes();
    const auto self = std::find_if(all.begin(), all.end(), [](const ProcessStat& process) {
        return process.pid == ::getpid();
    });
    ASSERT_NE(self, all.end());
    EXPECT_EQ(self->parent, ::getppid());
    EXPECT_EQ(self->session, ::getsid(0));
}

TEST(MemoryController, IsFoundInEitherHierarchy) {
    const std::string unified = "30 1 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
    const std::string memory =
        "31 1 0:27 /docker/ab /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n";
    const std::string other =
        "32 1 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\nnonsense\n";
    EXPECT_EQ(MemoryController::parse("").version, MemoryController::Version::none);
    EXPECT_EQ(MemoryController::parse(other).version, MemoryController::Version::none);
    EXPECT_EQ(MemoryController::parse(unified).version, MemoryController::Version::v2);
    const auto hybrid = MemoryController::parse(other + unified + memory);
    EXPECT_EQ(hybrid.version, MemoryController::Version::v1);
    EXPECT_EQ(hybrid.mount_point, "/sys/fs/cgroup/memory");
    EXPECT_EQ(hybrid.root, "/docker/ab");
    const std::string mine = "4:cpu,memory:/docker/ab/x:y\n0::/unified\n";
    EXPECT_EQ(hybrid.path_in(mine), "/docker/ab/x:y");
    EXPECT_EQ(MemoryController::parse(unified).path_in(mine), "/unified");
    EXPECT_EQ(hybrid.path_in("0::/unified\nbroken\n:\n"), std::nullopt);
}

TEST(TextFile, FindsNumbersByTheWholeKey) {
    EXPECT_EQ(number_behind("oom 1\noom_kill 7\n", "oom_kill"), 7U);
    EXPECT_EQ(number_behind("oom_kill_x 1\noom_kill", "oom_kill"), std::nullopt);
    EXPECT_EQ(number_behind("", "a"), std::nullopt);
    EXPECT_EQ(number_behind("a x\na 2", "a"), 2U);
}

bool can_bind(std::uint16_t port, bool reuse, bool listen) {
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = reuse ? 1 : 0;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
           (!listen || ::listen(socket.get(), 1) == 0);
}

TEST(HeldPort, IsFreeForARendezvousServerAloneAndOnlyWhileHeld) {
    std::uint16_t number = 0;
    {
        const HeldPort port = HeldPort::hold();
        number = port.number();
        ASSERT_NE(number, 0);
        EXPECT_FALSE(can_bind(number, false, false)) << "a program that just takes it";
        EXPECT_TRUE(can_bind(number, true, true)) << "torch's store sets SO_REUSEADDR";
        EXPECT_TRUE(can_bind(number, true, true)) << "and again, in the next attempt";
    }
    EXPECT_TRUE(can_bind(number, false, true));
}

TEST(HeldPort, IsNeverGivenToAnybodyWhoAsksForAnyPort) {
    std::vector<HeldPort> held;
    std::set<std::uint16_t> numbers;
    for (int i = 0; i < 500; ++i) {
        held.push_back(HeldPort::hold());
        EXPECT_TRUE(numbers.insert(held.back().number()).second);
    }
}

TEST(Environment, TheEnginesVariablesWinAndNoOthersPass) {
    wire::Start start;
    start.env = {{"A", "1"}, {"OMPI_X", "theirs"}, {"MPITRAIN_CONTROL", "/stale"}, {"A", "2"}};
    const char* const ours[] = {
        "OMPI_X=engine", "PMIX_RANK=3", "HOME=/root", "PMI_FD", "SECRET=x", nullptr};
    EXPECT_EQ(program_environment(start, ours),
              (std::vector<std::string>{"A=2", "OMPI_X=engine", "PMIX_RANK=3"}));
    start.control_path = "/page";
    const auto environment = program_environment(start, ours);
    EXPECT_EQ(environment_value(environment, "MPITRAIN_CONTROL"), "/page");
    EXPECT_EQ(environment_value(environment, "MPITRAIN"), "");
}

class RemoveTree : public testing::Test {
  protected:
    RemoveTree() {
        std::string name = (fs::temp_directory_path() / "mpitrain-tree-XXXXXX").string();
        top = ::mkdtemp(name.data());
    }
    ~RemoveTree() override { fs::remove_all(top); }
    static bool remove(const fs::path& path) {
        return remove_tree(path.string(), Clock::now() + std::chrono::seconds(5));
    }
    fs::path top;
};

TEST_F(RemoveTree, RemovesAllBelowAndNothingBeside) {
    fs::create_directories(top / "job/a/b/c");
    std::ofstream(top / "job/a/file") << "x";
    std::ofstream(top / "beside") << "x";
    for (int i = 0; i < 500; ++i) {
        std::ofstream(top / "job/a/b" / std::to_string(i)) << i;
    }
    EXPECT_TRUE(remove(top / "job"));
    EXPECT_FALSE(fs::exists(top / "job"));
    EXPECT_TRUE(fs::exists(top / "beside"));
    EXPECT_TRUE(remove(top / "job")) << "gone already is as good";
}

TEST_F(RemoveTree, DoesNotFollowLinks) {
    fs::create_directories(top / "job/sub");
    fs::create_directory(top / "precious");
    std::ofstream(top / "precious/file") << "x";
    fs::create_directory_symlink(top / "precious", top / "job/sub/link");
    fs::create_directory_symlink(top / "precious", top / "alias");
    EXPECT_FALSE(remove(top / "alias"));
    EXPECT_TRUE(remove(top / "job"));
    EXPECT_TRUE(fs::exists(top / "precious/file"));
}

TEST_F(RemoveTree, LeavesWhatBelongsToOthers) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "needs root to make another's file";
    }
    fs::create_directories(top / "job/theirs");
    std::ofstream(top / "job/theirs/file") << "x";
    std::ofstream(top / "job/mine") << "x";
    ASSERT_EQ(::chown((top / "job/theirs").c_str(), 12345, 12345), 0);
    EXPECT_FALSE(remove(top / "job"));
    EXPECT_TRUE(fs::exists(top / "job/theirs/file"));
    EXPECT_FALSE(fs::exists(top / "job/mine"));
}

TEST_F(RemoveTree, RefusesWhatNobodyCanMean) {
    fs::create_directory(top / "job");
    std::ofstream(top / "job/file") << "x";
    const fs::path odd = top / "job/../job";
    for (const std::string path : {"", "/", "relative", "/tmp", odd.c_str(), "/tmp/"}) {
        EXPECT_FALSE(remove_tree(path, Clock::now() + std::chrono::seconds(1))) << path;
    }
    EXPECT_FALSE(remove_tree((top / "job").string(), Clock::now())) << "no time left";
    EXPECT_TRUE(fs::exists(top / "job/file"));
}

// A few nanoseconds a count, which the compiler cannot leave out.
void spin(unsigned count) {
    for (; count > 0; --count) {
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
}

// One rank in a process of its own: asks for growing steps until it is told to stop, and exits with
// what happened.
struct TestRank {
    std::unique_ptr<ControlFile> page;
    pid_t pid = 0;

    TestRank(const fs::path& path, unsigned seed)
        : page(ControlFile::create(path.string(), ::getpid())) {
        pid = ::fork();
        if (pid == 0) {
            client::detail::attach(path.c_str());
            std::mt19937 random(seed);
            ::alarm(60);
            for (std::uint64_t step = 0;; ++step) {
                if (client::should_stop(step)) {
                    ::_exit(client::should_stop(step + 1) ? static_cast<int>(step % 251) : 252);
                }
                spin(random() % 64);
                if (random() % 32 == 0) {
                    ::sched_yield();
                }
            }
        }
    }
};

TEST(ControlFile, RanksThatRaceWithAStopAllStopAtTheSameStep) {
    const fs::path base =
        fs::temp_directory_path() / ("mpitrain-race-" + std::to_string(::getpid()));
    for (unsigned round = 0; round < 100; ++round) {
        TestRank a(base.string() + "a", round);
        TestRank b(base.string() + "b", round + 1000);
        ASSERT_TRUE(a.page && b.page);
        for (const TestRank* rank : {&a, &b}) {
            while (rank->page->use() != wire::ClientUse::polls) {
                ::sched_yield();
            }
        }
        spin((round * 7919) % 20'000);
        std::uint64_t stop = 0;
        for (const TestRank* rank : {&a, &b}) {
            const wire::StopPrepared prepared = rank->page->prepare_stop();
            stop = std::max(stop, prepared.last_answered ? *prepared.last_answered + 1 : 0);
        }
        for (const TestRank* rank : {&a, &b}) {
            rank->page->decide_stop(stop, 0);
        }
        for (const TestRank* rank : {&a, &b}) {
            int status = 0;
            ASSERT_EQ(::waitpid(rank->pid, &status, 0), rank->pid);
            ASSERT_TRUE(WIFEXITED(status));
            ASSERT_EQ(WEXITSTATUS(status), static_cast<int>(stop % 251)) << "round " << round;
            EXPECT_TRUE(rank->page->told_stop());
        }
    }
}

TEST(ControlFile, TellsNewsOnceAndInOrder) {
    const fs::path path =
        fs::temp_directory_path() / ("mpitrain-news-" + std::to_string(::getpid()));
    const auto page = ControlFile::create(path.string(), ::getpid());
    ASSERT_TRUE(page);
    EXPECT_TRUE(page->news().empty());
    client::detail::attach(path.c_str());
    EXPECT_EQ(page->use(), wire::ClientUse::attached);
    client::progress(1, 10);
    client::progress(2, 10);
    client::checkpoint_committed(1);
    client::checkpoint_committed(2);
    const auto news = page->news();
    ASSERT_EQ(news.size(), 3U);
    EXPECT_EQ(std::get<wire::Commit>(news[0]).step, 1U);
    EXPECT_EQ(std::get<wire::Commit>(news[1]).step, 2U);
    EXPECT_EQ(std::get<wire::Progress>(news[2]).step, 2U);
    EXPECT_TRUE(page->news().empty());
    client::checkpoint_failed(3, "disk full");
    const auto failures = page->news();
    ASSERT_EQ(failures.size(), 1U);
    EXPECT_EQ(std::get<wire::SaveFailed>(failures[0]).step, 3U);
    EXPECT_EQ(std::get<wire::SaveFailed>(failures[0]).reason, "disk full");
    EXPECT_TRUE(page->news().empty());
}

}  // namespace
}  // namespace mpitrain::rank
