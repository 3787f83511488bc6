#include "mpitrain/supervise/slot_registry.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>

namespace mpitrain {
namespace {

class SlotRegistryTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "registry-XXXXXX";
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
        setenv("MPITRAIN_LOCK_DIR", (directory_ + "/lock").c_str(), 1);
    }
    void TearDown() override {
        unsetenv("MPITRAIN_LOCK_DIR");
        std::filesystem::remove_all(directory_);
    }
    std::string directory_;
};

TEST_F(SlotRegistryTest, AResourceIsTakenOnce) {
    const auto registry = SlotRegistry::open();
    ASSERT_TRUE(registry) << registry.error().text();
    const Resources both{.cpus = CpuSet::of({0, 1}), .gpus = {}};
    const Resources second{.cpus = CpuSet::of({1}), .gpus = {}};
    {
        const auto claim = registry->try_claim(both);
        ASSERT_TRUE(claim);
        const auto refused = registry->try_claim(second);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code(), ErrorCode::resource_exhausted);
        EXPECT_NE(refused.error().what().find(std::to_string(getpid())), std::string::npos)
            << refused.error().text();
    }
    EXPECT_TRUE(registry->is_free(second));
}

TEST_F(SlotRegistryTest, ClaimsAllOrNothing) {
    const auto registry = SlotRegistry::open();
    ASSERT_TRUE(registry);
    const auto held = registry->try_claim({.cpus = CpuSet::of({3}), .gpus = {}});
    ASSERT_TRUE(held);
    EXPECT_FALSE(registry->try_claim({.cpus = CpuSet::range(0, 3), .gpus = {}}));
    EXPECT_TRUE(registry->is_free({.cpus = CpuSet::range(0, 2), .gpus = {}}));
}

TEST_F(SlotRegistryTest, SharersShareCoresButNotWithTheExclusive) {
    const auto registry = SlotRegistry::open();
    ASSERT_TRUE(registry);
    const Resources shared{.cpus = CpuSet::of({0}), .gpus = {}, .share_cpus = true};
    const auto first = registry->try_claim(shared);
    const auto second = registry->try_claim(shared);
    EXPECT_TRUE(first);
    EXPECT_TRUE(second);
    EXPECT_FALSE(registry->is_free({.cpus = CpuSet::of({0}), .gpus = {}}));
}

TEST_F(SlotRegistryTest, ALockOutlivesItsTakerInAnInheritingProcess) {
    const auto registry = SlotRegistry::open();
    ASSERT_TRUE(registry);
    const Resources wanted{.cpus = CpuSet::of({0}), .gpus = {"GPU-1"}};
    int hold[2];
    ASSERT_EQ(pipe(hold), 0);
    const pid_t taker = fork();
    if (taker == 0) {
        close(hold[1]);
        auto claim = registry->try_claim(wanted);
        if (fork() == 0) {  // the guard: inherits the descriptors and waits for its lifeline to end
            char byte = 0;
            _exit(static_cast<int>(read(hold[0], &byte, 1)));
        }
        _exit(claim ? 0 : 1);
    }
    close(hold[0]);
    int status = 0;
    waitpid(taker, &status, 0);
    ASSERT_EQ(status, 0);
    EXPECT_FALSE(registry->is_free(wanted));
    EXPECT_TRUE(registry->is_being_released(wanted));
    close(hold[1]);
    for (int i = 0; i < 1000 && !registry->is_free(wanted); ++i) {
        usleep(1000);
    }
    EXPECT_TRUE(registry->is_free(wanted));
}

}  // namespace
}  // namespace mpitrain
