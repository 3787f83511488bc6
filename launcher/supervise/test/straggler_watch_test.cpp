#include "straggler_watch.hpp"

#include <gtest/gtest.h>

namespace mpitrain {
namespace {

using Change = StragglerWatch::Change;
constexpr std::int64_t ms = 1'000'000;

// A gang of four that makes 100 collectives a second, watched every quarter of a second.
class Gang {
  public:
    // Lets `seconds` pass, in which rank r spends `waits[r]` of its time in collectives.
    std::vector<Change> run(int seconds, const std::vector<double>& waits) {
        std::vector<Change> all;
        for (int tick = 0; tick < seconds * 4; ++tick) {
            now_ns_ += 250 * ms;
            operations_ += 25;
            spent_ns_.resize(waits.size());
            for (std::size_t r = 0; r < waits.size(); ++r) {
                spent_ns_[r] += waits[r] * 250.0 * static_cast<double>(ms);
                watch.active(Rank(static_cast<int>(r)),
                             operations_,
                             static_cast<std::uint64_t>(spent_ns_[r]));
            }
            const auto changes = watch.look(now_ns_);
            all.insert(all.end(), changes.begin(), changes.end());
        }
        return all;
    }
    StragglerWatch watch;

  private:
    std::int64_t now_ns_ = 0;
    std::uint64_t operations_ = 0;
    std::vector<double> spent_ns_;
};

TEST(StragglerWatch, NamesTheRankThatTheOthersWaitFor) {
    Gang gang;
    EXPECT_TRUE(gang.run(20, {0.1, 0.12, 0.08, 0.11}).empty());
    EXPECT_EQ(gang.watch.text(), "");
    const auto changes = gang.run(20, {0.5, 0.52, 0.1, 0.51});
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].rank, Rank(2));
    EXPECT_TRUE(changes[0].slow);
    EXPECT_NEAR(changes[0].share, 0.41, 0.02);
    EXPECT_EQ(gang.watch.text(), "rank 2 slow: others wait 41 %");
}

TEST(StragglerWatch, ClearsARankThatIsWellAgain) {
    Gang gang;
    gang.run(20, {0.5, 0.5, 0.1, 0.5});
    const auto changes = gang.run(20, {0.1, 0.1, 0.1, 0.1});
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0], (Change{Rank(2), false, 0}));
    EXPECT_EQ(gang.watch.text(), "");
}

TEST(StragglerWatch, IsNotAlarmedByOneSlowStep) {
    Gang gang;
    EXPECT_TRUE(gang.run(20, {0.1, 0.1, 0.1, 0.1}).empty());
    EXPECT_TRUE(gang.run(5, {0.9, 0.9, 0.1, 0.9}).empty());  // one window alone
    EXPECT_TRUE(gang.run(30, {0.1, 0.1, 0.1, 0.1}).empty());
}

TEST(StragglerWatch, TakesRanksThatDifferWidelyForNoStragglers) {
    Gang gang;
    EXPECT_TRUE(gang.run(60, {0.2, 0.5, 0.8, 0.35}).empty());
}

TEST(StragglerWatch, ComparesTwoRanks) {
    Gang gang;
    const auto changes = gang.run(20, {0.6, 0.05});
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].rank, Rank(1));
}

TEST(StragglerWatch, GoesByStepsWhereNoCollectivesAreRecorded) {
    StragglerWatch watch;
    std::vector<Change> all;
    for (int tick = 0; tick < 80; ++tick) {
        for (int r = 0; r < 3; ++r) {
            watch.progressed(Rank(r), static_cast<std::uint64_t>(tick * (r == 1 ? 4 : 10)));
        }
        const auto changes = watch.look(tick * 250 * ms);
        all.insert(all.end(), changes.begin(), changes.end());
    }
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].rank, Rank(1));
    EXPECT_NEAR(all[0].share, 0.6, 0.01);
}

TEST(StragglerWatch, SaysNothingOfAProgramThatIsStill) {
    StragglerWatch watch;
    watch.active(Rank(0), 5, 0);
    watch.active(Rank(1), 5, 1'000'000);
    for (int tick = 0; tick < 200; ++tick) {
        EXPECT_TRUE(watch.look(tick * 250 * ms).empty());
    }
}

}  // namespace
}  // namespace mpitrain
