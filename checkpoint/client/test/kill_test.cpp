#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/checkpointer.hpp"
#include "mpitrain/posix/file_system.hpp"

// A program that does nothing but save, killed at random moments, on a real file system.
namespace mpitrain::checkpoint {
namespace {

constexpr std::size_t elements = 200'000;

std::vector<double> values_of(std::uint64_t step) {
    std::vector<double> values(elements);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<double>(step) + static_cast<double>(i) / 7;
    }
    return values;
}

// Saves steps from `first` on until it is killed, or for a second.
void save_for_ever(const std::string& directory, std::uint64_t first) {
    const auto peers = single_peer();
    auto checkpoints = Checkpointer::open({.directory = directory, .keep_last = 2}, *peers);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    for (std::uint64_t step = first; std::chrono::steady_clock::now() < end; ++step) {
        const auto values = values_of(step);
        const std::vector<SaveTensor> tensors = {save_from("w", {elements}, values.data())};
        if (!checkpoints || !(*checkpoints)->save(step, tensors)) {
            ::_exit(1);
        }
    }
}

// The step that loads right; 0 when there is none yet.
std::uint64_t loaded_step(const std::string& directory) {
    const auto peers = single_peer();
    const auto checkpoints = Checkpointer::open({.directory = directory}, *peers);
    std::vector<double> values(elements);
    const std::vector<LoadTensor> tensors = {load_into("w", {elements}, values.data())};
    const auto restored = (*checkpoints)->load_latest(tensors);
    EXPECT_TRUE(restored) << restored.error().text();
    if (!restored || !*restored) {
        return 0;
    }
    EXPECT_EQ(values, values_of((*restored)->step));
    EXPECT_TRUE((*restored)->warnings.empty());
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

TEST(Kill9, NeverTearsOrLosesACommit) {
    std::string directory = testing::TempDir() + "mpitrain-kill-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    std::mt19937 random(12345);
    std::uint64_t step = 0;
    const char* rounds_text = ::getenv("MPITRAIN_KILL_ROUNDS");
    const int rounds = rounds_text == nullptr ? 15 : ::atoi(rounds_text);
    for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            save_for_ever(directory, step + 1);
            ::_exit(0);
        }
        // The moment is the point of the test, so this is a sleep and not a wait for an event.
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with " << status;
        expect_all_whole(directory);
        const std::uint64_t now = loaded_step(directory);
        EXPECT_GE(now, step);
        step = now;
    }
    std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace mpitrain::checkpoint
