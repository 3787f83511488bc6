#include <gtest/gtest.h>

#include "mpitrain/checkpoint/catalog.hpp"
#include "world.hpp"

// Which commits stay.
namespace mpitrain::checkpoint {
namespace {

using test::World;

std::vector<std::uint64_t> steps_left(fake::Disk& disk) {
    std::vector<std::uint64_t> steps;
    const auto commits = list_commits(*disk.mount(), "/run");
    for (const CommitDirectory& commit : *commits) {
        steps.push_back(commit.step);
    }
    return steps;
}

TEST(Retention, KeepsTheLastAndEveryMultiple) {
    const auto disk = fake::make_disk();
    test::make_run_directory(*disk);
    StoreOptions options = World::default_options();
    options.keep = {.last = 2, .every = 4};
    World world(*disk, 1, options);
    for (std::uint64_t step = 1; step <= 11; ++step) {
        ASSERT_TRUE(world.save(step).all_ok());
    }
    EXPECT_EQ(steps_left(*disk), (std::vector<std::uint64_t>{11, 10, 8, 4}));
}

TEST(Retention, KeepsAllWhenAskedTo) {
    const auto disk = fake::make_disk();
    test::make_run_directory(*disk);
    StoreOptions options = World::default_options();
    options.keep = {.last = 0};
    World world(*disk, 1, options);
    for (std::uint64_t step = 1; step <= 5; ++step) {
        ASSERT_TRUE(world.save(step).all_ok());
    }
    EXPECT_EQ(steps_left(*disk).size(), 5U);
}

TEST(Retention, KeepsOneForEachIntervalOfTime) {
    const auto disk = fake::make_disk();
    test::make_run_directory(*disk);
    StoreOptions options = World::default_options();
    options.keep = {.last = 1, .every = 0, .interval = std::chrono::hours(1)};
    World world(*disk, 1, options);
    for (std::uint64_t step = 1; step <= 4; ++step) {
        ASSERT_TRUE(world.save(step).all_ok());
    }
    // All within the hour: the oldest stands for it, besides the newest.
    EXPECT_EQ(steps_left(*disk), (std::vector<std::uint64_t>{4, 1}));
}

}  // namespace
}  // namespace mpitrain::checkpoint
