#include "preflight_verdict.hpp"

#include <gtest/gtest.h>

#include <set>

namespace mpitrain::collectives::bench {
namespace {

std::vector<SlotScore> sound(int ranks) {
    std::vector<SlotScore> scores;
    for (int r = 0; r < ranks; ++r) {
        const auto count = static_cast<std::size_t>(ranks);
        SlotScore score{.rank = r,
                        .host = "n",
                        .memory_gb_s = 10 + r * 0.1,
                        .pair_mb_s = std::vector<double>(count, 1000),
                        .pair_us = std::vector<double>(count, 2)};
        score.pair_mb_s[static_cast<std::size_t>(r)] = 0;
        scores.push_back(score);
    }
    return scores;
}

void set_pair(std::vector<SlotScore>& scores, std::size_t a, std::size_t b, double mb_s) {
    scores[a].pair_mb_s[b] = mb_s;
    scores[b].pair_mb_s[a] = mb_s;
}

TEST(Preflight, FindsNothingWhereAllIsSound) {
    for (const int ranks : {1, 2, 3, 8}) {
        EXPECT_TRUE(find_suspects(sound(ranks), 0.5).empty()) << ranks;
    }
}

TEST(Preflight, NamesASlotWithSlowMemory) {
    auto scores = sound(4);
    scores[2].memory_gb_s = 3;
    const auto suspects = find_suspects(scores, 0.5);
    ASSERT_EQ(suspects.size(), 1U);
    EXPECT_EQ(suspects[0].rank, 2);
    EXPECT_NE(suspects[0].why.find("memory"), std::string::npos);
}

TEST(Preflight, BlamesTheRankAndNotItsPartners) {
    auto scores = sound(5);
    for (const std::size_t other : {0U, 2U, 3U, 4U}) {
        set_pair(scores, 1, other, 200);
    }
    const auto suspects = find_suspects(scores, 0.5);
    ASSERT_EQ(suspects.size(), 1U);
    EXPECT_EQ(suspects[0].rank, 1);
}

TEST(Preflight, NamesOneSlowPair) {
    auto scores = sound(5);
    set_pair(scores, 1, 3, 100);
    const auto suspects = find_suspects(scores, 0.5);
    ASSERT_EQ(suspects.size(), 1U);
    EXPECT_EQ(suspects[0].rank, 1);
    EXPECT_NE(suspects[0].why.find("with rank 3"), std::string::npos);
}

TEST(Preflight, LetsEachRankMeetEachOtherOnce) {
    for (int ranks = 2; ranks <= 9; ++ranks) {
        std::set<std::pair<int, int>> met;
        for (int round = 0; round < ranks - 1 + ranks % 2; ++round) {
            for (int rank = 0; rank < ranks; ++rank) {
                const int other = partner_in_round(rank, round, ranks);
                if (other < 0) {
                    continue;
                }
                ASSERT_LT(other, ranks);
                ASSERT_NE(other, rank);
                EXPECT_EQ(partner_in_round(other, round, ranks), rank);
                EXPECT_TRUE(met.insert({rank, other}).second);
            }
        }
        EXPECT_EQ(met.size(), static_cast<std::size_t>(ranks * (ranks - 1)));
    }
}

}  // namespace
}  // namespace mpitrain::collectives::bench
