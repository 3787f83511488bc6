#include <gtest/gtest.h>

#include "mpitrain/checkpoint/catalog.hpp"
#include "world.hpp"

// One file of all ranks.
namespace mpitrain::checkpoint {
namespace {

using test::World;

StoreOptions one_file() {
    StoreOptions options = World::default_options();
    options.layout = Layout::single;
    return options;
}

class OneFile : public testing::TestWithParam<int> {
  protected:
    void SetUp() override { test::make_run_directory(*disk); }

    std::unique_ptr<fake::Disk> disk = fake::make_disk();
};

TEST_P(OneFile, HoldsWhatAllRanksSavedAndIsLoadedByAnyNumber) {
    World world(*disk, GetParam(), one_file());
    const auto waiting = world.save(1);
    ASSERT_TRUE(waiting.all_ok()) << waiting.text();
    const auto behind = world.save_behind(2);
    ASSERT_TRUE(behind.all_ok()) << behind.text();
    const auto files = disk->mount()->list("/run/step-2");
    ASSERT_TRUE(files);
    ASSERT_EQ(files->size(), 2U);
    EXPECT_EQ((*files)[0].name, "checkpoint.h5");
    EXPECT_EQ((*files)[1].name, "manifest.json");
    const auto verified = verify_commit(*disk->mount(), "/run/step-2", {});
    ASSERT_TRUE(verified) << verified.error().text();
    EXPECT_TRUE(verified->bad.empty());
    EXPECT_EQ(verified->manifest->shards.size(), 1U);
    for (int ranks = 1; ranks <= 5; ++ranks) {
        EXPECT_EQ(World(*disk, ranks).load(), "2") << ranks;
    }
}

TEST_P(OneFile, EveryDamagedBlockIsFound) {
    World world(*disk, GetParam(), one_file());
    ASSERT_TRUE(world.save(1).all_ok());
    const std::string path = "/run/step-1/checkpoint.h5";
    const std::vector<std::byte> whole = disk->content(path);
    for (std::size_t at = 100; at < whole.size(); at += 4096) {
        std::vector<std::byte> damaged = whole;
        damaged[at] ^= std::byte{4};
        disk->replace(path, damaged);
        const auto verified = verify_commit(*disk->mount(), "/run/step-1", {});
        ASSERT_TRUE(verified);
        EXPECT_FALSE(verified->bad.empty()) << at;
    }
}

TEST_P(OneFile, FollowsFilesOfRanksInOneDirectory) {
    ASSERT_TRUE(World(*disk, GetParam()).save(1).all_ok());
    ASSERT_TRUE(World(*disk, GetParam(), one_file()).save(2).all_ok());
    EXPECT_EQ(World(*disk, GetParam()).load(), "2");
    ASSERT_TRUE(World(*disk, GetParam()).save(3).all_ok());
    EXPECT_EQ(World(*disk, GetParam(), one_file()).load(), "3");
}

INSTANTIATE_TEST_SUITE_P(Ranks, OneFile, testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace mpitrain::checkpoint
