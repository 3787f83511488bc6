#include <gtest/gtest.h>
#include <mpi.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/checkpoint/checkpointer.hpp"
#include "mpitrain/checkpoint/mpi_peers.hpp"

// The ranks of a real communicator save and load together, on it and on smaller ones.
namespace mpitrain::checkpoint {
namespace {

constexpr std::uint64_t rows = 997;  // a prime: never even
constexpr std::uint64_t columns = 33;

// The directory that rank 0 made, on every rank.
std::string shared_directory() {
    std::array<char, 64> path = {"/tmp/mpitrain-ckpt-mpi-XXXXXX"};
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0 && ::mkdtemp(path.data()) == nullptr) {
        path[0] = '\0';
    }
    MPI_Bcast(path.data(), static_cast<int>(path.size()), MPI_CHAR, 0, MPI_COMM_WORLD);
    return path.data();
}

struct Slab {
    Slab(int rank, int size)
        : begin(rows * static_cast<std::uint64_t>(rank) / static_cast<std::uint64_t>(size)),
          end(rows * static_cast<std::uint64_t>(rank + 1) / static_cast<std::uint64_t>(size)),
          values((end - begin) * columns) {}
    void fill() { std::iota(values.begin(), values.end(), static_cast<double>(begin * columns)); }
    [[nodiscard]] Block block() const { return {{begin, 0}, {end - begin, columns}}; }
    std::uint64_t begin;
    std::uint64_t end;
    std::vector<double> values;
};

void save_on(MPI_Comm comm, const std::string& directory, std::uint64_t step) {
    const auto peers = mpi_peers(comm);
    ASSERT_TRUE(peers) << peers.error().text();
    const auto checkpoints = Checkpointer::open({.directory = directory}, **peers);
    ASSERT_TRUE(checkpoints) << checkpoints.error().text();
    Slab slab((*peers)->rank(), (*peers)->size());
    slab.fill();
    const std::vector<SaveTensor> tensors = {
        save_from("w", {rows, columns}, slab.block(), slab.values.data())};
    const Blob rank{.name = "rank", .bytes = {static_cast<std::byte>((*peers)->rank())}};
    const auto commit = (*checkpoints)->save(step, tensors, {.attributes = {}, .blobs = {rank}});
    ASSERT_TRUE(commit) << commit.error().text();
}

// The same behind the training: the state changes at once, the ranks agree at step edges.
void save_behind_on(MPI_Comm comm, const std::string& directory, std::uint64_t step) {
    const auto peers = mpi_peers(comm);
    ASSERT_TRUE(peers) << peers.error().text();
    const auto checkpoints = Checkpointer::open({.directory = directory}, **peers);
    ASSERT_TRUE(checkpoints) << checkpoints.error().text();
    Slab slab((*peers)->rank(), (*peers)->size());
    slab.fill();
    const std::vector<SaveTensor> tensors = {
        save_from("w", {rows, columns}, slab.block(), slab.values.data())};
    const Blob rank{.name = "rank", .bytes = {static_cast<std::byte>((*peers)->rank())}};
    const auto started =
        (*checkpoints)->save_async(step, tensors, {.attributes = {}, .blobs = {rank}});
    ASSERT_TRUE(started) << started.error().text();
    EXPECT_TRUE(*started);
    std::fill(slab.values.begin(), slab.values.end(), -1.0);
    std::optional<Result<Commit>> outcome;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!outcome && std::chrono::steady_clock::now() < until) {
        outcome = (*checkpoints)->poll();
    }
    ASSERT_TRUE(outcome);
    ASSERT_TRUE(*outcome) << outcome->error().text();
    EXPECT_EQ((*outcome)->step, step);
}

void load_on(MPI_Comm comm, const std::string& directory, int saved_by) {
    const auto peers = mpi_peers(comm);
    ASSERT_TRUE(peers) << peers.error().text();
    const auto checkpoints = Checkpointer::open({.directory = directory}, **peers);
    ASSERT_TRUE(checkpoints) << checkpoints.error().text();
    Slab wanted((*peers)->rank(), (*peers)->size());
    Slab got = wanted;
    wanted.fill();
    const std::vector<LoadTensor> tensors = {
        load_into("w", {rows, columns}, got.block(), got.values.data())};
    const auto restored = (*checkpoints)->load_latest(tensors);
    ASSERT_TRUE(restored) << restored.error().text();
    ASSERT_TRUE(*restored);
    EXPECT_EQ(got.values, wanted.values);
    EXPECT_EQ((*restored)->world_size, saved_by);
    ASSERT_EQ((*restored)->blobs.size(), static_cast<std::size_t>(saved_by));
    for (int rank = 0; rank < saved_by; ++rank) {
        EXPECT_EQ(*(*restored)->blob("rank", rank),
                  std::vector<std::byte>{static_cast<std::byte>(rank)});
    }
}

TEST(CheckpointerMpi, SavesOnAllRanksAndLoadsOnFewer) {
    const std::string directory = shared_directory();
    ASSERT_FALSE(directory.empty());
    int rank = 0;
    int size = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    save_on(MPI_COMM_WORLD, directory, 1);
    for (int fewer = size; fewer >= 1; --fewer) {
        MPI_Comm some = MPI_COMM_NULL;
        MPI_Comm_split(MPI_COMM_WORLD, rank < fewer ? 0 : MPI_UNDEFINED, rank, &some);
        if (some != MPI_COMM_NULL) {
            load_on(some, directory, size);
            MPI_Comm_free(&some);
        }
        MPI_Barrier(MPI_COMM_WORLD);
    }
    if (rank == 0) {
        std::filesystem::remove_all(directory);
    }
}

TEST(CheckpointerMpi, SavesBehindTheTraining) {
    const std::string directory = shared_directory();
    ASSERT_FALSE(directory.empty());
    int rank = 0;
    int size = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (const std::uint64_t step : {std::uint64_t{1}, std::uint64_t{2}}) {
        save_behind_on(MPI_COMM_WORLD, directory, step);
    }
    load_on(MPI_COMM_WORLD, directory, size);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        std::filesystem::remove_all(directory);
    }
}

// Two nodes, which are two directories; the shard that travels is larger than one message.
TEST(CheckpointerMpi, SavesByWayOfTheNodes) {
    const std::string directory = shared_directory();
    ASSERT_FALSE(directory.empty());
    const auto peers = mpi_peers(MPI_COMM_WORLD);
    ASSERT_TRUE(peers) << peers.error().text();
    const int rank = (*peers)->rank();
    const int size = (*peers)->size();
    const std::string node = directory + "/node" + std::to_string(rank * 2 / size);
    const auto checkpoints =
        Checkpointer::open({.directory = directory, .local_directory = node}, **peers);
    ASSERT_TRUE(checkpoints) << checkpoints.error().text();
    std::vector<double> mine(1'500'000, rank + 0.5);
    const auto length = static_cast<std::uint64_t>(mine.size());
    const std::vector<std::uint64_t> shape = {static_cast<std::uint64_t>(size), length};
    const Block block{{static_cast<std::uint64_t>(rank), 0}, {1, length}};
    const std::vector<SaveTensor> from = {save_from("v", shape, block, mine.data())};
    const auto saved = (*checkpoints)->save(7, from);
    ASSERT_TRUE(saved) << saved.error().text();
    EXPECT_TRUE(saved->path.starts_with(node)) << saved->path;
    if (size > 1) {
        // Both nodes hold all shards.
        int shards = 0;
        for (const auto& entry : std::filesystem::directory_iterator(saved->path)) {
            shards += entry.path().filename().string().starts_with("shard-") ? 1 : 0;
        }
        EXPECT_EQ(shards, size);
    }
    ASSERT_TRUE((*checkpoints)->wait(std::chrono::minutes(1)));
    const auto drained = (*checkpoints)->poll();
    ASSERT_TRUE(drained);
    ASSERT_TRUE(*drained) << drained->error().text();
    EXPECT_EQ((*drained)->path, directory + "/step-7");
    std::vector<double> back(mine.size());
    const std::vector<LoadTensor> into = {load_into("v", shape, block, back.data())};
    const auto restored = (*checkpoints)->load_latest(into);
    ASSERT_TRUE(restored) << restored.error().text();
    ASSERT_TRUE(*restored);
    EXPECT_EQ(back, mine);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        std::filesystem::remove_all(directory);
    }
}

TEST(CheckpointerMpi, ARankThatDoesNotComeIsAnErrorNotAHang) {
    int rank = 0;
    int size = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size == 1) {
        GTEST_SKIP() << "one rank waits for nobody";
    }
    const auto peers = mpi_peers(MPI_COMM_WORLD);
    ASSERT_TRUE(peers);
    if (rank != 0) {
        const auto told = (*peers)->exchange("here", std::chrono::milliseconds(100));
        ASSERT_FALSE(told);
        EXPECT_EQ(told.error().code(), ErrorCode::deadline_exceeded);
        const auto again = (*peers)->exchange("here", std::chrono::milliseconds(100));
        EXPECT_EQ(again.error().code(), ErrorCode::unavailable);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

}  // namespace
}  // namespace mpitrain::checkpoint

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    testing::InitGoogleTest(&argc, argv);
    int failed = RUN_ALL_TESTS();
    // All ranks end alike, whichever failed.
    MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    MPI_Finalize();
    return failed;
}
