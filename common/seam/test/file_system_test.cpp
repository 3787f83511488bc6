#include "mpitrain/seam/file_system.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "mpitrain/fake/file_system.hpp"

namespace mpitrain {
namespace {

class FakeDisk : public testing::Test {
  protected:
    std::string content(const std::string& path) {
        auto text = read_small_file(*disk->mount(), path, 1 << 20);
        return text ? *text : "error: " + text.error().text();
    }
    std::unique_ptr<fake::Disk> disk = fake::make_disk();
    std::unique_ptr<FileSystem> files = disk->mount();
};

TEST(Path, JoinsAndSplits) {
    EXPECT_EQ(join_path("/a", "b"), "/a/b");
    EXPECT_EQ(join_path("/", "b"), "/b");
    EXPECT_EQ(parent_path("/a/b/"), "/a");
    EXPECT_EQ(parent_path("/a"), "/");
    EXPECT_EQ(parent_path("a"), ".");
    EXPECT_EQ(base_name("/a/b/"), "b");
}

TEST_F(FakeDisk, KeepsOnlyWhatWasSynced) {
    ASSERT_TRUE(write_new_file(*files, "/named", "first"));
    ASSERT_TRUE(files->sync_directory("/"));
    ASSERT_TRUE(write_new_file(*files, "/unnamed", "x"));
    {
        auto file = files->open("/named", {});
        ASSERT_TRUE(file);
        ASSERT_TRUE((*file)->write(0, std::as_bytes(std::span("later", 5))));
    }
    EXPECT_EQ(content("/named"), "later");
    disk->crash({});
    EXPECT_EQ(content("/named"), "first");
    EXPECT_FALSE(disk->mount()->status("/unnamed"));
    EXPECT_EQ(files->status("/named").error().code(), ErrorCode::cancelled);
}

TEST_F(FakeDisk, RenameSurvivesWholeOrNotAtAll) {
    ASSERT_TRUE(write_new_file(*files, "/a", "data"));
    ASSERT_TRUE(files->sync_directory("/"));
    ASSERT_TRUE(files->rename("/a", "/b"));
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        disk->crash(seed);
        auto entries = disk->mount()->list("/");
        ASSERT_TRUE(entries);
        ASSERT_EQ(entries->size(), 1U);
    }
}

TEST_F(FakeDisk, FailsOneCallAndGoesOn) {
    disk->plan(fake::FaultPlan{.at_call = 1, .errno_value = ENOSPC});
    EXPECT_EQ(files->make_directory("/d").error().code(), ErrorCode::resource_exhausted);
    EXPECT_TRUE(files->make_directory("/d"));
}

TEST_F(FakeDisk, KillsOneProcessOrTheMachine) {
    const auto other = disk->mount();
    disk->plan(
        fake::FaultPlan{.at_call = 1, .fault = fake::Fault::kill_process, .takes_effect = true});
    EXPECT_FALSE(files->make_directory("/d"));
    EXPECT_FALSE(files->list("/"));
    EXPECT_TRUE(other->status("/d"));
    disk->plan(fake::FaultPlan{.at_call = disk->calls() + 1, .fault = fake::Fault::kill_machine});
    EXPECT_FALSE(disk->mount()->list("/"));
    EXPECT_FALSE(other->list("/"));
}

TEST_F(FakeDisk, LocksOutASecondHolder) {
    const auto other = disk->mount();
    {
        const auto held = files->lock("/lock", std::chrono::milliseconds(0));
        ASSERT_TRUE(held);
        EXPECT_EQ(other->lock("/lock", std::chrono::milliseconds(0)).error().code(),
                  ErrorCode::deadline_exceeded);
    }
    EXPECT_TRUE(other->lock("/lock", std::chrono::milliseconds(0)));
}

TEST_F(FakeDisk, RemovesATree) {
    ASSERT_TRUE(files->make_directory("/d"));
    ASSERT_TRUE(files->make_directory("/d/e"));
    ASSERT_TRUE(write_new_file(*files, "/d/e/f", "x"));
    EXPECT_EQ(files->remove_directory("/d").error().code(), ErrorCode::already_exists);
    EXPECT_TRUE(remove_tree(*files, "/d"));
    EXPECT_TRUE(remove_tree(*files, "/d"));
    EXPECT_EQ(files->status("/d").error().code(), ErrorCode::not_found);
}

}  // namespace
}  // namespace mpitrain
