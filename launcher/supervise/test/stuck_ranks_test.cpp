#include "stuck_ranks.hpp"

#include <gtest/gtest.h>

namespace mpitrain {
namespace {

constexpr std::uint64_t s = 1'000'000'000;
constexpr std::uint32_t broadcast = 2;
constexpr std::uint32_t allreduce = 3;

wire::Operation op(std::uint64_t number, bool ended, std::uint32_t kind = allreduce) {
    return {.begun_ns = number * s,
            .ended_ns = ended ? number * s + 1000 : 0,
            .group = 77,
            .number = number,
            .bytes = 4096,
            .kind = kind,
            .shape = 0,
            .root = kind == broadcast ? 0 : -1,
            .ranks = 4};
}

RankSight sight(int rank, std::vector<wire::Operation> operations, const char* state = "S") {
    return {.rank = Rank(rank),
            .answered = true,
            .seen = {.state = state,
                     .now_ns = 100 * s,
                     .operations = std::move(operations),
                     .threads = "12 S python, in futex_wait\n",
                     .stacks = "thread 12\ntrain(main+0x10)[0x1234]\n"}};
}

std::vector<int> ranks_of(const std::vector<StuckRank>& stuck) {
    std::vector<int> ranks;
    ranks.reserve(stuck.size());
    for (const StuckRank& one : stuck) {
        ranks.push_back(one.rank.value());
    }
    return ranks;
}

TEST(FindStuck, NamesWhoDidNotComeToWhereTheOthersAre) {
    const std::vector<RankSight> sights{sight(0, {op(6, true), op(7, false)}),
                                        sight(1, {op(6, true), op(7, false)}),
                                        sight(2, {op(5, true), op(6, true)}, "R"),
                                        sight(3, {op(6, true), op(7, false)})};
    const auto stuck = find_stuck(sights);
    ASSERT_EQ(ranks_of(stuck), (std::vector<int>{2}));
    EXPECT_EQ(
        stuck[0].why,
        "did not come to collective 7 (allreduce of 4.0 KiB); its last was 6 (allreduce of 4.0 "
        "KiB), 1m34s ago");
}

TEST(FindStuck, NamesWhoHasMadeNoneAtAll) {
    const std::vector<RankSight> sights{
        sight(0, {op(1, false)}), sight(1, {}), sight(2, {op(1, false)}), sight(3, {op(1, false)})};
    const auto stuck = find_stuck(sights);
    ASSERT_EQ(ranks_of(stuck), (std::vector<int>{1}));
    EXPECT_NE(stuck[0].why.find("it has made none yet"), std::string::npos);
}

TEST(FindStuck, NamesWhoIsStoppedThoughItCame) {
    const std::vector<RankSight> sights{sight(0, {op(7, false)}),
                                        sight(1, {op(7, false)}, "T"),
                                        sight(2, {op(7, false)}),
                                        sight(3, {op(7, false)})};
    EXPECT_EQ(ranks_of(find_stuck(sights)), (std::vector<int>{1}));
}

TEST(FindStuck, NamesWhoCameWithAnotherSize) {
    auto smaller = op(7, false);
    smaller.bytes = 2048;
    const std::vector<RankSight> sights{sight(0, {op(7, false)}),
                                        sight(1, {op(7, false)}),
                                        sight(2, {op(7, false)}),
                                        sight(3, {op(6, true), smaller})};
    const auto stuck = find_stuck(sights);
    ASSERT_EQ(ranks_of(stuck), (std::vector<int>{3}));
    EXPECT_EQ(stuck[0].why,
              "made allreduce of 2.0 KiB as collective 7 where rank 0 made allreduce of 4.0 KiB");
}

TEST(FindStuck, NamesWhoCameWithAnotherCallBeforeWhatFollowedFromIt) {
    // Rank 2 swapped 7 and 8, and went on from the broadcast, whose data had come.
    const std::vector<RankSight> sights{sight(0, {op(7, true), op(8, false, broadcast)}),
                                        sight(1, {op(7, false)}),
                                        sight(2, {op(7, true, broadcast), op(8, false)}),
                                        sight(3, {op(7, false)})};
    EXPECT_EQ(ranks_of(find_stuck(sights)).front(), 2);
}

TEST(FindStuck, NamesBothWhereTwoDiffer) {
    auto first = op(1, false);
    auto second = op(1, false, broadcast);
    first.ranks = second.ranks = 2;
    EXPECT_EQ(ranks_of(find_stuck(std::vector{sight(0, {first}), sight(1, {second})})).size(), 2U);
}

TEST(FindStuck, DoesNotNameAVictimThatWaitsElsewhere) {
    auto inner = op(3, false);
    inner.group = 5;
    inner.ranks = 2;
    const std::vector<RankSight> sights{sight(0, {op(7, false)}),
                                        sight(1, {op(6, true), inner}),
                                        sight(2, {op(6, true)}),
                                        sight(3, {op(7, false)})};
    EXPECT_EQ(ranks_of(find_stuck(sights)), (std::vector<int>{2}));
}

TEST(FindStuck, SaysNothingWhereNobodyWaits) {
    const std::vector<RankSight> sights{sight(0, {op(7, true)}), sight(1, {op(6, true)})};
    EXPECT_TRUE(find_stuck(sights).empty());
    EXPECT_TRUE(find_stuck({}).empty());
}

TEST(FindStuck, NamesARankWhoseAgentIsSilent) {
    std::vector<RankSight> sights{sight(0, {}), sight(1, {})};
    sights[1].answered = false;
    EXPECT_EQ(ranks_of(find_stuck(sights)), (std::vector<int>{1}));
}

TEST(DescribeSights, TellsOperationsAndThreads) {
    const std::string text = describe(std::vector{sight(3, {op(6, true), op(7, false)}, "D")});
    EXPECT_NE(text.find("rank 3: state D"), std::string::npos);
    EXPECT_NE(text.find("has not returned for 1m33s"), std::string::npos);
    EXPECT_NE(text.find("thread 12 S python, in futex_wait"), std::string::npos);
    EXPECT_NE(text.find("\n    train(main+0x10)[0x1234]\n"), std::string::npos);
}

}  // namespace
}  // namespace mpitrain
