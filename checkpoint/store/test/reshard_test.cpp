#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "world.hpp"

// A tensor saved in one sharding is loaded in every other, on other numbers of ranks: bit for bit,
// and by reading little more than what is wanted.
namespace mpitrain::checkpoint {
namespace {

using test::Meeting;
using test::ThreadPeer;

constexpr std::uint64_t row_count = 6;
constexpr std::uint64_t column_count =
    std::uint64_t{1} << 20U;  // runs long enough that whole checksum blocks cost little

enum class Sharding { by_row, by_column, blocks, uneven, replicated };

constexpr Sharding shardings[] = {Sharding::by_row,
                                  Sharding::by_column,
                                  Sharding::blocks,
                                  Sharding::uneven,
                                  Sharding::replicated};

// The `part`-th of `parts` ranges of [0, length).
std::pair<std::uint64_t, std::uint64_t> range(std::uint64_t length, int part, int parts) {
    const auto p = static_cast<std::uint64_t>(part);
    const auto n = static_cast<std::uint64_t>(parts);
    return {length * p / n, length * (p + 1) / n};
}

Block block_of(Sharding sharding, int rank, int size) {
    const int tall = size % 2 == 0 ? 2 : 1;
    switch (sharding) {
        case Sharding::by_row: {
            const auto [begin, end] = range(row_count, rank, size);
            return {{begin, 0}, {end - begin, column_count}};
        }
        case Sharding::by_column: {
            const auto [begin, end] = range(column_count, rank, size);
            return {{0, begin}, {row_count, end - begin}};
        }
        case Sharding::blocks: {
            const auto [top, bottom] = range(row_count, rank % tall, tall);
            const auto [left, right] = range(column_count, rank / tall, size / tall);
            return {{top, left}, {bottom - top, right - left}};
        }
        case Sharding::uneven: {
            // The last rank has all but what the others have: one row each.
            const auto r = static_cast<std::uint64_t>(rank);
            return {{r, 0}, {rank + 1 == size ? row_count - r : 1, column_count}};
        }
        case Sharding::replicated:
            break;
    }
    return {{0, 0}, {row_count, column_count}};
}

std::uint32_t value_at(std::uint64_t row, std::uint64_t column) {
    return static_cast<std::uint32_t>((row * column_count + column) * 2654435761U);
}

std::vector<std::uint32_t> values_of(const Block& block) {
    std::vector<std::uint32_t> values;
    values.reserve(block.extent[0] * block.extent[1]);
    for (std::uint64_t row = 0; row < block.extent[0]; ++row) {
        for (std::uint64_t column = 0; column < block.extent[1]; ++column) {
            values.push_back(value_at(block.offset[0] + row, block.offset[1] + column));
        }
    }
    return values;
}

class Job {
  public:
    Job(fake::Disk& disk, int size) : disk_(disk), size_(size), meeting_(size), behind_(size) {}

    // Runs `work(surroundings, rank)` on every rank.
    template <typename Work>
    void run(Work work) {
        std::vector<std::jthread> threads;
        threads.reserve(static_cast<std::size_t>(size_));
        for (int rank = 0; rank < size_; ++rank) {
            threads.emplace_back([this, rank, &work] {
                const auto files = disk_.mount();
                ThreadPeer peer(meeting_, behind_, rank, size_);
                const Staging staging;
                Surroundings around{*files,
                                    *container_,
                                    peer,
                                    staging,
                                    [] { return std::chrono::system_clock::time_point(); },
                                    [] { return std::string("token"); },
                                    {},
                                    [](const WriterIdentity&) { return true; }};
                work(around, rank);
            });
        }
    }

  private:
    fake::Disk& disk_;
    int size_;
    Meeting meeting_;
    Meeting behind_;
    std::unique_ptr<Container> container_ = make_hdf5_container();
};

StoreOptions options() {
    return {.directory = "/run", .model = "", .hdf5_view = false};
}

std::unique_ptr<fake::Disk> saved(Sharding sharding, int ranks) {
    auto disk = fake::make_disk();
    test::make_run_directory(*disk);
    Job(*disk, ranks).run([&](Surroundings& around, int rank) {
        const Block block = block_of(sharding, rank, ranks);
        const auto values = values_of(block);
        SaveInput input{.step = 1,
                        .contribution = std::make_shared<Contribution>(Contribution{
                            {{"w", DType::uint32, {row_count, column_count}, block}}, {}}),
                        .tensors = {reinterpret_cast<const std::byte*>(values.data())},
                        .blobs = {},
                        .attributes = {}};
        const auto done = make_saver(around, options())->save(input);
        ASSERT_TRUE(done) << done.error().text();
    });
    return disk;
}

void expect_loads(fake::Disk& disk, Sharding sharding, int ranks) {
    std::atomic<std::uint64_t> read = 0;
    std::atomic<std::uint64_t> wanted = 0;
    Job(disk, ranks).run([&](Surroundings& around, int rank) {
        const Block block = block_of(sharding, rank, ranks);
        const auto expected = values_of(block);
        std::vector<std::uint32_t> back(expected.size());
        const TensorSpec spec{"w", DType::uint32, {row_count, column_count}, block};
        auto* target = reinterpret_cast<std::byte*>(back.data());
        const auto loaded =
            load_newest(around, options(), std::span(&spec, 1), {.memory = std::span(&target, 1)});
        ASSERT_TRUE(loaded) << loaded.error().text();
        ASSERT_TRUE(*loaded);
        EXPECT_TRUE((*loaded)->warnings.empty());
        EXPECT_TRUE(back == expected);
        read += (*loaded)->bytes_read;
        wanted += expected.size() * sizeof(std::uint32_t);
    });
    EXPECT_LE(static_cast<double>(read), 1.05 * static_cast<double>(wanted))
        << read << " bytes read for " << wanted;
}

struct Worlds {
    int saved_by;
    int loaded_by;
};

class Reshard : public testing::TestWithParam<Worlds> {};

TEST_P(Reshard, EveryShardingLoadsInEveryOther) {
    const auto [saved_by, loaded_by] = GetParam();
    for (const Sharding from : shardings) {
        const auto disk = saved(from, saved_by);
        for (const Sharding to : shardings) {
            SCOPED_TRACE(testing::Message()
                         << "from " << static_cast<int>(from) << " to " << static_cast<int>(to));
            expect_loads(*disk, to, loaded_by);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Worlds,
                         Reshard,
                         testing::Values(Worlds{4, 1}, Worlds{4, 2}, Worlds{2, 4}, Worlds{3, 5}),
                         [](const auto& one) {
                             return std::to_string(one.param.saved_by) + "To" +
                                    std::to_string(one.param.loaded_by);
                         });

}  // namespace
}  // namespace mpitrain::checkpoint
