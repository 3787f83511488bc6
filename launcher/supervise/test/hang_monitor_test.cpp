#include "hang_monitor.hpp"

#include <gtest/gtest.h>

namespace mpitrain {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t s = 1'000'000'000;

TEST(HangMonitor, NamesTheRankFurthestBehindAfterAFixedTime) {
    HangMonitor monitor(HangTimeoutMode::fixed, 5s);
    monitor.progressed(Rank(0), 10, 1 * s);
    monitor.progressed(Rank(1), 9, 2 * s);
    EXPECT_FALSE(monitor.stuck(6 * s));
    EXPECT_EQ(monitor.stuck(8 * s), Rank(1));
}

TEST(HangMonitor, CountsCollectivesOfAProgramThatReportsNoProgress) {
    HangMonitor monitor(HangTimeoutMode::fixed, 5s);
    monitor.active(Rank(0), 100, 1 * s);
    monitor.active(Rank(1), 99, 2 * s);
    EXPECT_FALSE(monitor.stuck(6 * s));
    EXPECT_EQ(monitor.stuck(8 * s), Rank(1));
    monitor.active(Rank(1), 101, 9 * s);
    EXPECT_FALSE(monitor.stuck(10 * s));
}

TEST(HangMonitor, IsNotAlarmedByOneSlowStepAmongManyClean) {
    HangMonitor monitor(HangTimeoutMode::automatic, 0s);
    std::int64_t now = 0;
    for (std::uint64_t step = 1; step <= 100'000; ++step) {
        const std::int64_t length = step == 70'000 ? 70 * s : 7 * s;  // beyond the shortest limit
        for (int tick = 1; tick <= 10; ++tick) {
            now += length / 10;
            ASSERT_FALSE(monitor.stuck(now)) << step;
        }
        for (int rank = 0; rank < 4; ++rank) {
            monitor.progressed(Rank(rank), step, now + rank);
        }
    }
    EXPECT_TRUE(monitor.stuck(now + 3600 * s));
}

TEST(HangMonitor, RepeatingAStepIsNoProgress) {
    HangMonitor monitor(HangTimeoutMode::fixed, 5s);
    monitor.progressed(Rank(0), 10, 1 * s);
    monitor.progressed(Rank(0), 10, 6 * s);
    EXPECT_EQ(monitor.stuck(7 * s), Rank(0));
}

TEST(HangMonitor, LearnsItsLimitFromThePausesItSaw) {
    HangMonitor monitor(HangTimeoutMode::automatic, 0s);
    monitor.progressed(Rank(0), 1, 0);
    monitor.progressed(Rank(0), 2, 10 * s);
    EXPECT_FALSE(monitor.stuck(200 * s));
    EXPECT_TRUE(monitor.stuck(211 * s));
}

TEST(HangMonitor, NeverJudgesAProgramWithoutProgressOrWhenOff) {
    EXPECT_FALSE(HangMonitor(HangTimeoutMode::fixed, 1s).stuck(100 * s));
    HangMonitor off(HangTimeoutMode::off, 1s);
    off.progressed(Rank(0), 1, 0);
    EXPECT_FALSE(off.stuck(100 * s));
}

}  // namespace
}  // namespace mpitrain
