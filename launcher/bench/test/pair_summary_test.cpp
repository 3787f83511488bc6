#include "pair_summary.hpp"

#include <gtest/gtest.h>

namespace mpitrain::bench {
namespace {

TEST(SpreadOf, TakesTheMiddleOfAnOddNumber) {
    const Spread spread = spread_of({5, 1, 100});
    EXPECT_EQ(spread.min, 1);
    EXPECT_EQ(spread.median, 5);
    EXPECT_EQ(spread.max, 100);
}

TEST(SpreadOf, TakesTheMeanOfTheMiddleTwo) {
    EXPECT_EQ(spread_of({4, 1, 2, 100}).median, 3);
}

TEST(SpreadOf, OfOneIsThatOne) {
    EXPECT_EQ(spread_of({7}).median, 7);
}

// A machine that becomes ten times slower half-way through says nothing about either side.
TEST(Summarize, ComparesRoundByRound) {
    const PairSummary summary = summarize({{.bare_ms = 100, .ours_ms = 110},
                                           {.bare_ms = 100, .ours_ms = 110},
                                           {.bare_ms = 100, .ours_ms = 110},
                                           {.bare_ms = 1000, .ours_ms = 1100}});
    EXPECT_NEAR(summary.ratio, 1.1, 1e-12);
    EXPECT_EQ(summary.difference_ms, 10);
    EXPECT_EQ(summary.bare_ms.median, 100);
    EXPECT_EQ(summary.ours_ms.max, 1100);
}

}  // namespace
}  // namespace mpitrain::bench
