#include "mpitrain/checkpoint/checkpointer.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <numeric>

namespace mpitrain::checkpoint {
namespace {

namespace fs = std::filesystem;

class CheckpointerTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "mpitrain-ckpt-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        root = pattern;
        std::iota(weights.begin(), weights.end(), 1.0F);
    }
    void TearDown() override { fs::remove_all(root); }

    std::unique_ptr<Checkpointer> open(Options options = {}) {
        options.directory = root + "/run";
        auto opened = Checkpointer::open(std::move(options), *peers);
        EXPECT_TRUE(opened) << opened.error().text();
        return *std::move(opened);
    }
    std::vector<SaveTensor> state() const {
        return {save_from("w", {100, 300}, weights.data()),
                save_from("bias", {3}, weights.data()),
                save_from("step", {}, &step)};
    }

    std::string root;
    std::unique_ptr<Peers> peers = single_peer();
    std::vector<float> weights = std::vector<float>(30000);
    std::int64_t step = 7;
};

TEST_F(CheckpointerTest, GivesBackWhatWasSaved) {
    const auto checkpoints = open();
    const std::vector<std::byte> random(100, std::byte{42});
    const auto commit = checkpoints->save(
        7,
        state(),
        {.attributes = {{"loss", 0.5}}, .blobs = {{.name = "random", .bytes = random}}});
    ASSERT_TRUE(commit) << commit.error().text();
    EXPECT_EQ(commit->path, root + "/run/step-7");

    std::vector<float> back(weights.size());
    std::int64_t step_back = 0;
    const std::vector<LoadTensor> into = {load_into("w", {100, 300}, back.data()),
                                          load_into("step", {}, &step_back)};
    const auto restored = checkpoints->load_latest(into);
    ASSERT_TRUE(restored) << restored.error().text();
    ASSERT_TRUE(*restored);
    EXPECT_EQ(back, weights);
    EXPECT_EQ(step_back, 7);
    EXPECT_EQ((*restored)->attributes.at("loss"), Attribute(0.5));
    ASSERT_NE((*restored)->blob("random", 0), nullptr);
    EXPECT_EQ(*(*restored)->blob("random", 0), random);
    EXPECT_EQ((*restored)->blob("random"), nullptr);
    EXPECT_TRUE((*restored)->warnings.empty());
}

TEST_F(CheckpointerTest, AFreshDirectoryIsAFreshStart) {
    const auto restored = open()->load_latest({});
    ASSERT_TRUE(restored) << restored.error().text();
    EXPECT_FALSE(*restored);
}

TEST_F(CheckpointerTest, KeepsTheLastFew) {
    const auto checkpoints = open({.keep_last = 2});
    for (std::uint64_t at = 1; at <= 4; ++at) {
        ASSERT_TRUE(checkpoints->save(at, state()));
    }
    EXPECT_FALSE(fs::exists(root + "/run/step-2"));
    EXPECT_TRUE(fs::exists(root + "/run/step-3"));
    EXPECT_TRUE(fs::exists(root + "/run/step-4"));
}

TEST_F(CheckpointerTest, AnotherModelIsRefusedByName) {
    ASSERT_TRUE(open({.model = "small"})->save(1, state()));
    const auto other = open({.model = "large"})->load_latest({});
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code(), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace mpitrain::checkpoint
