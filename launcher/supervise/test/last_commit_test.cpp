#include "last_commit.hpp"

#include <gtest/gtest.h>

#include <span>

#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/fake/file_system.hpp"

namespace mpitrain {
namespace {

class LastCommitTest : public testing::Test {
  protected:
    LastCommitTest() : disk(fake::make_disk()), files(disk->mount()) {
        EXPECT_TRUE(files->make_directory("/run"));
    }

    void commit(std::uint64_t step, std::string_view manifest) {
        const std::string path = "/run/step-" + std::to_string(step);
        ASSERT_TRUE(files->make_directory(path));
        auto file = files->open(path + "/manifest.json", {.mode = OpenMode::create});
        ASSERT_TRUE(file);
        ASSERT_TRUE((*file)->write(0, std::as_bytes(std::span(manifest))));
    }

    static std::string ours(std::uint64_t step) {
        checkpoint::Manifest manifest;
        manifest.step = step;
        manifest.created = "2026-01-01T00:00:00Z";
        return checkpoint::encode(manifest);
    }

    std::optional<std::uint64_t> step() {
        const LastCommit last = find_last_commit(*files, "/run");
        return last.good ? std::optional(last.good->step) : std::nullopt;
    }

    std::unique_ptr<fake::Disk> disk;
    std::unique_ptr<FileSystem> files;
};

TEST_F(LastCommitTest, TheNewestOfOursIsTaken) {
    commit(2, ours(2));
    commit(10, ours(10));
    EXPECT_EQ(step(), 10U);
    EXPECT_EQ(find_last_commit(*files, "/run").good->path, "/run/step-10");
}

TEST_F(LastCommitTest, ADamagedOneIsNamedAndSkipped) {
    commit(2, ours(2));
    std::string torn = ours(10);
    torn[torn.size() / 2] ^= 1;
    commit(10, torn);
    commit(11, ours(10));
    commit(12, "");
    const LastCommit last = find_last_commit(*files, "/run");
    EXPECT_EQ(last.good->step, 2U);
    ASSERT_EQ(last.damaged.size(), 3U);
    EXPECT_NE(last.damaged[1].find("/run/step-11"), std::string::npos) << last.damaged[1];
}

TEST_F(LastCommitTest, AnotherProgramsFormatIsTakenAtItsWord) {
    commit(5, R"({"format": "pytorch-ddp/1", "step": 5})");
    EXPECT_EQ(step(), 5U);
    commit(6, R"({"format": "pytorch-)");
    EXPECT_EQ(step(), 5U);
}

TEST_F(LastCommitTest, NothingThereIsNoError) {
    EXPECT_EQ(step(), std::nullopt);
    EXPECT_FALSE(find_last_commit(*files, "/nowhere").good);
    EXPECT_FALSE(find_last_commit(*files, "").good);
}

}  // namespace
}  // namespace mpitrain
