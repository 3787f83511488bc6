#include "mpitrain/supervise/ledger.hpp"

#include <gtest/gtest.h>

namespace mpitrain {
namespace {

constexpr std::int64_t s = 1'000'000'000;

double sum(const Ledger::Columns& c) {
    return c.starting_s + c.training_s + c.checkpointing_s + c.lost_s + c.down_s;
}

TEST(Ledger, AnUnbrokenRunIsStartingTrainingAndCheckpointing) {
    Ledger ledger(0);
    ledger.attempt_started(1 * s);
    ledger.ranks_running(3 * s);
    ledger.checkpointing_total(2 * s);
    ledger.committed(10 * s);
    ledger.finished(13 * s);
    const auto c = ledger.columns(99 * s);
    EXPECT_DOUBLE_EQ(c.wall_s, 13);
    EXPECT_DOUBLE_EQ(c.down_s, 1);
    EXPECT_DOUBLE_EQ(c.starting_s, 2);
    EXPECT_DOUBLE_EQ(c.checkpointing_s, 2);
    EXPECT_DOUBLE_EQ(c.training_s, 8);
    EXPECT_DOUBLE_EQ(c.lost_s, 0);
}

TEST(Ledger, OnlyWorkAfterTheLastCommitIsLost) {
    Ledger ledger(0);
    ledger.attempt_started(0);
    ledger.ranks_running(1 * s);
    ledger.committed(6 * s);
    ledger.attempt_failed(10 * s);
    ledger.attempt_started(11 * s);
    ledger.ranks_running(12 * s);
    ledger.finished(20 * s);
    const auto c = ledger.columns(20 * s);
    EXPECT_DOUBLE_EQ(c.lost_s, 4);
    EXPECT_DOUBLE_EQ(c.training_s, 5 + 8);
    EXPECT_DOUBLE_EQ(c.down_s, 1);
    EXPECT_DOUBLE_EQ(sum(c), c.wall_s);
}

TEST(Ledger, WithoutAnyCommitAllTrainingIsLost) {
    Ledger ledger(0);
    ledger.attempt_started(0);
    ledger.ranks_running(1 * s);
    ledger.checkpointing_total(1 * s);
    ledger.attempt_failed(5 * s);
    ledger.finished(5 * s);
    const auto c = ledger.columns(5 * s);
    EXPECT_DOUBLE_EQ(c.lost_s, 3);
    EXPECT_DOUBLE_EQ(c.checkpointing_s, 1);
    EXPECT_DOUBLE_EQ(c.training_s, 0);
    EXPECT_DOUBLE_EQ(sum(c), c.wall_s);
}

TEST(Ledger, ColumnsAddUpWhateverTheOrderOfReports) {
    Ledger ledger(7);
    ledger.attempt_started(9);
    ledger.attempt_failed(12);  // before its ranks ran
    ledger.attempt_started(15);
    ledger.ranks_running(20);
    ledger.checkpointing_total(1000);  // more than the phase is long
    ledger.committed(18);              // before the phase began
    const auto c = ledger.columns(40);
    EXPECT_DOUBLE_EQ(sum(c), c.wall_s);
}

}  // namespace
}  // namespace mpitrain
