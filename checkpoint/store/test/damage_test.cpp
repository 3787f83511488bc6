#include <gtest/gtest.h>

#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/names.hpp"
#include "world.hpp"

// Damage to a commit on the disk: always found, by verify and by load, and never loaded.
namespace mpitrain::checkpoint {
namespace {

using test::World;
using Content = std::vector<std::byte>;

class Damage : public testing::Test {
  protected:
    static constexpr int ranks = 2;

    void SetUp() override {
        test::make_run_directory(*disk);
        options.keep.last = 0;
        World world(*disk, ranks, options);
        ASSERT_TRUE(world.save(1).all_ok());
        ASSERT_TRUE(world.save(2).all_ok());
    }
    std::vector<std::string> files_of(std::uint64_t step) {
        std::vector<std::string> paths;
        const std::string path = join_path("/run", step_directory(step));
        const auto entries = disk->mount()->list(path);
        for (const DirectoryEntry& entry : *entries) {
            paths.push_back(join_path(path, entry.name));
        }
        return paths;
    }
    // Puts `damaged` in place of a file, expects both verify and load to notice, and mends it.
    void expect_found(const std::string& path, Content damaged, const std::string& how) {
        const Content whole = disk->content(path);
        disk->replace(path, std::move(damaged));
        expect_noticed(path + " " + how);
        disk->replace(path, whole);
    }
    void expect_noticed(const std::string& how) {
        const auto verified = verify_commit(*disk->mount(), "/run/step-2", {});
        ASSERT_TRUE(verified) << how << ": " << verified.error().text();
        EXPECT_FALSE(verified->bad.empty()) << how;
        World world(*disk, ranks, options);
        const std::string loaded = world.load();
        // Either the older commit, or this one because its tensors are untouched; always told.
        EXPECT_TRUE(loaded == "1" || loaded == "2") << how << ": " << loaded;
        EXPECT_FALSE(world.warnings.empty()) << how;
    }

    std::unique_ptr<fake::Disk> disk = fake::make_disk();
    StoreOptions options = World::default_options();
};

TEST_F(Damage, AFlipInAnyPageOfAnyFileIsFound) {
    constexpr std::size_t page = 4096;
    std::uint64_t seed = 7;
    for (const std::string& path : files_of(2)) {
        const Content whole = disk->content(path);
        for (std::size_t at = 0; at < whole.size(); at += page) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            const std::size_t length = std::min(page, whole.size() - at);
            Content flipped = whole;
            flipped[at + (seed >> 33) % length] ^= std::byte{1} << ((seed >> 20) % 8);
            expect_found(path, flipped, "flipped near " + std::to_string(at));
        }
    }
}

TEST_F(Damage, TruncationAnywhereIsFound) {
    for (const std::string& path : files_of(2)) {
        const Content whole = disk->content(path);
        for (std::size_t i = 0; i < 100; ++i) {
            const auto length = static_cast<std::ptrdiff_t>(whole.size() * i / 100);
            expect_found(path,
                         Content(whole.begin(), whole.begin() + length),
                         "cut to " + std::to_string(length));
        }
        Content longer = whole;
        longer.push_back(std::byte{0});
        expect_found(path, longer, "made longer");
    }
}

TEST_F(Damage, AFileOfAnotherStepIsFound) {
    const auto ours = files_of(2);
    const auto theirs = files_of(1);
    ASSERT_EQ(ours.size(), theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
        expect_found(ours[i], disk->content(theirs[i]), "replaced by that of step 1");
    }
}

TEST_F(Damage, AMissingFileIsFound) {
    for (const std::string& path : files_of(2)) {
        const Content whole = disk->content(path);
        const auto files = disk->mount();
        ASSERT_TRUE(files->rename(path, path + ".away"));
        expect_noticed(path + " missing");
        ASSERT_TRUE(files->rename(path + ".away", path));
    }
}

TEST_F(Damage, AllDamagedIsNoFreshStart) {
    for (const std::uint64_t step : {std::uint64_t{1}, std::uint64_t{2}}) {
        disk->replace(join_path(join_path("/run", step_directory(step)), manifest_name), {});
    }
    EXPECT_EQ(World(*disk, ranks, options).load(), "data_loss");
}

TEST_F(Damage, ADamagedCommitMakesWayForItsSuccessor) {
    const std::string manifest = "/run/step-2/manifest.json";
    disk->replace(manifest, Content(10));
    World world(*disk, ranks, options);
    EXPECT_EQ(world.load(), "1");
    EXPECT_TRUE(world.save(2).all_ok());
    EXPECT_EQ(world.load(), "2");
    const auto again = world.save(2);
    EXPECT_EQ(again.ranks[0].error().code(), ErrorCode::already_exists);
    EXPECT_EQ(again.ranks[1].error().code(), ErrorCode::already_exists);
}

TEST_F(Damage, AReadErrorFallsBackToTheOlderCommit) {
    World world(*disk, 1, options);
    const std::uint64_t before = disk->calls();
    EXPECT_EQ(world.load(), "2");
    const std::uint64_t calls = disk->calls() - before;
    int fell_back = 0;
    for (std::uint64_t call = 1; call <= calls; ++call) {
        disk->plan(fake::FaultPlan{.at_call = disk->calls() + call});
        const std::string loaded = World(*disk, 1, options).load();
        disk->plan({});
        EXPECT_TRUE(loaded == "1" || loaded == "2" || loaded == "io") << call << ": " << loaded;
        fell_back += loaded == "1" ? 1 : 0;
    }
    EXPECT_GT(fell_back, 5);
}

}  // namespace
}  // namespace mpitrain::checkpoint
