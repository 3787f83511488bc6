#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <ostream>
#include <random>
#include <thread>

#include "forked_ranks.hpp"
#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/checkpointer.hpp"
#include "mpitrain/posix/file_system.hpp"

// A job that does nothing but save, killed at random moments, on a real file system.
// MPITRAIN_KILL_ROUNDS says how often (scripts/campaign checkpoint-kill: 1,000).
namespace mpitrain::checkpoint {
namespace {

constexpr std::uint64_t rows = 2003;  // a prime: uneven on any number of ranks
constexpr std::uint64_t columns = 100;

struct Kind {
    const char* name;
    int ranks;
    bool behind;    // save_async
    bool one_rank;  // only one rank is killed, and the others notice
    int nodes = 0;  // by way of the directories of so many nodes; 0: none
};

std::ostream& operator<<(std::ostream& out, const Kind& kind) {
    return out << kind.name;
}

// A rank's rows, which follow from the step alone.
struct Part {
    Part(int rank, int size)
        : begin(rows * static_cast<std::uint64_t>(rank) / static_cast<std::uint64_t>(size)),
          end(rows * static_cast<std::uint64_t>(rank + 1) / static_cast<std::uint64_t>(size)),
          values((end - begin) * columns) {}
    void fill(std::uint64_t step) {
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = static_cast<double>(step) + static_cast<double>(begin * columns + i) / 7;
        }
    }
    [[nodiscard]] Block block() const { return {{begin, 0}, {end - begin, columns}}; }
    std::uint64_t begin;
    std::uint64_t end;
    std::vector<double> values;
};

Options options_of(const std::string& directory, const Kind& kind, int rank) {
    Options options{.directory = directory, .keep_last = 2};
    if (kind.nodes > 0) {
        options.local_directory =
            directory + "/nodes/" + std::to_string(rank * kind.nodes / kind.ranks);
    }
    return options;
}

// What has ended behind the training; an error ends the rank.
void hear(Checkpointer& checkpoints) {
    while (const auto outcome = checkpoints.poll()) {
        if (!*outcome) {
            ::_exit(1);
        }
    }
}

// Saves steps from `first` on until it is killed, or a rank is lost.
void save_for_ever(const std::string& directory,
                   std::uint64_t first,
                   Peers& peers,
                   const Kind& kind) {
    auto checkpoints = Checkpointer::open(options_of(directory, kind, peers.rank()), peers);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    Part part(peers.rank(), peers.size());
    for (std::uint64_t step = first; std::chrono::steady_clock::now() < end; ++step) {
        part.fill(step);
        const std::vector<SaveTensor> tensors = {
            save_from("w", {rows, columns}, part.block(), part.values.data())};
        if (!checkpoints) {
            ::_exit(1);
        }
        if (!kind.behind) {
            if (!(*checkpoints)->save(step, tensors)) {
                ::_exit(1);
            }
            hear(**checkpoints);  // drains, where there are nodes
            continue;
        }
        const auto started = (*checkpoints)->save_async(step, tensors);
        if (!started) {
            ::_exit(1);
        }
        if (!*started) {
            ::usleep(100);  // the one before is still tidying up
            continue;
        }
        part.fill(step + 1'000'000);  // the training goes on
        for (std::optional<Result<Commit>> outcome; !outcome;) {
            outcome = (*checkpoints)->poll();
            if (outcome && !*outcome) {
                ::_exit(1);
            }
            ::usleep(100);
        }
    }
}

// The step that loads right on one rank; 0 when there is none yet.
std::uint64_t loaded_step(const std::string& directory, const Kind& kind) {
    const auto peers = single_peer();
    const auto checkpoints = Checkpointer::open(options_of(directory, kind, 0), *peers);
    Part back(0, 1);
    const std::vector<LoadTensor> tensors = {
        load_into("w", {rows, columns}, back.block(), back.values.data())};
    const auto restored = (*checkpoints)->load_latest(tensors);
    EXPECT_TRUE(restored) << restored.error().text();
    if (!restored || !*restored) {
        return 0;
    }
    Part wanted(0, 1);
    wanted.fill((*restored)->step);
    EXPECT_EQ(back.values, wanted.values);
    // That something was on the nodes only is told.
    EXPECT_TRUE((*restored)->warnings.empty() || kind.nodes > 0);
    return (*restored)->step;
}

void expect_all_whole(const std::string& directory) {
    const auto files = posix::make_file_system();
    const auto commits = list_commits(*files, directory);
    ASSERT_TRUE(commits) << commits.error().text();
    for (const CommitDirectory& commit : *commits) {
        const auto verified = verify_commit(*files, commit.path, {});
        ASSERT_TRUE(verified) << verified.error().text();
        EXPECT_TRUE(verified->bad.empty()) << commit.path;
    }
}

std::vector<pid_t> start_job(const std::string& directory, std::uint64_t first, const Kind& kind) {
    const auto star = test::make_star(kind.ranks);
    const auto behind = test::make_star(kind.ranks);
    std::vector<pid_t> ranks;
    for (int rank = 0; rank < kind.ranks; ++rank) {
        const pid_t child = ::fork();
        if (child == 0) {
            test::close_others(star, rank);
            test::close_others(behind, rank);
            const auto at = static_cast<std::size_t>(rank);
            test::ForkedPeer peer(rank, kind.ranks, star[at], behind[at]);
            save_for_ever(directory, first, peer, kind);
            ::_exit(0);
        }
        EXPECT_GT(child, 0);
        ranks.push_back(child);
    }
    test::close_others(star, -1);
    test::close_others(behind, -1);
    return ranks;
}

// Kills all ranks, or one, upon which the others must end by themselves.
void end_job(const std::vector<pid_t>& ranks, const Kind& kind, std::mt19937& random) {
    if (kind.one_rank) {
        ::kill(ranks[random() % ranks.size()], SIGKILL);
    } else {
        for (const pid_t rank : ranks) {
            ::kill(rank, SIGKILL);
        }
    }
    for (const pid_t rank : ranks) {
        int status = 0;
        ASSERT_EQ(::waitpid(rank, &status, 0), rank);
        EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "a rank saw no harm";
    }
}

class Kill9 : public testing::TestWithParam<Kind> {};

TEST_P(Kill9, NeverTearsOrLosesACommit) {
    const Kind& kind = GetParam();
    std::string directory = testing::TempDir() + "mpitrain-kill-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    std::mt19937 random(12345);
    std::uint64_t step = 0;
    std::uint64_t commits = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    const char* rounds_text = ::getenv("MPITRAIN_KILL_ROUNDS");
    const int rounds = rounds_text == nullptr ? 10 : ::atoi(rounds_text);
    for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
        const auto ranks = start_job(directory, step + 1, kind);
        // The moment is the point of the test, so this is a sleep and not a wait for an event.
        // By way of nodes the first commit of a life comes later.
        const unsigned window_us = kind.nodes > 0 ? 500'000 : 150'000;
        std::this_thread::sleep_for(std::chrono::microseconds(random() % window_us));
        end_job(ranks, kind, random);
        expect_all_whole(directory);
        const std::uint64_t now = loaded_step(directory, kind);
        EXPECT_GE(now, step);
        commits += now - step;
        step = now;
    }
    std::printf(
        "%d kills, %llu commits between them\n", rounds, static_cast<unsigned long long>(commits));
    std::filesystem::remove_all(directory);
}

INSTANTIATE_TEST_SUITE_P(Jobs,
                         Kill9,
                         testing::Values(Kind{"OneRank", 1, false, false},
                                         Kind{"FourRanks", 4, false, false},
                                         Kind{"OneOfFourRanks", 4, false, true},
                                         Kind{"FourRanksBehind", 4, true, false},
                                         Kind{"OneOfFourRanksBehind", 4, true, true},
                                         Kind{"FourRanksOnTwoNodes", 4, false, false, 2},
                                         Kind{"OneOfFourRanksOnTwoNodes", 4, false, true, 2}),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace mpitrain::checkpoint
