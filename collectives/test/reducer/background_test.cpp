#include "reducer/background.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace mpitrain::collectives {
namespace {

class EitherWay : public ::testing::TestWithParam<bool> {};

TEST_P(EitherWay, DoesReleasedWorkInOrder) {
    std::vector<std::size_t> done;
    Background background(GetParam(), 5, [&done](std::size_t i) -> Result<void> {
        done.push_back(i);
        return {};
    });
    for (int round = 0; round < 50; ++round) {
        done.clear();
        background.release(2);
        background.release(5);
        ASSERT_TRUE(background.wait());
        EXPECT_EQ(done, (std::vector<std::size_t>{0, 1, 2, 3, 4}));
        background.restart();
    }
}

TEST_P(EitherWay, DoesNothingAfterAnError) {
    std::vector<std::size_t> done;
    Background background(GetParam(), 5, [&done](std::size_t i) -> Result<void> {
        done.push_back(i);
        return i < 1 ? Result<void>() : Error(ErrorCode::unavailable, "gone");
    });
    background.release(5);
    EXPECT_EQ(background.wait().error().what(), "gone");
    background.release(6);
    EXPECT_EQ(background.wait().error().what(), "gone");
    EXPECT_EQ(done.size(), 2U);
}

TEST_P(EitherWay, EndsWithWorkThatWasNeverWaitedFor) {
    Background background(GetParam(), 5, [](std::size_t) -> Result<void> { return {}; });
    background.release(3);
}

INSTANTIATE_TEST_SUITE_P(Background, EitherWay, ::testing::Bool());

}  // namespace
}  // namespace mpitrain::collectives
