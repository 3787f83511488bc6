#include "mpitrain/recorder/operation_log.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <thread>

namespace mpitrain::recorder {
namespace {

TEST(OperationLog, KeepsTheLastOperationsInOrder) {
    auto page = std::make_unique<OperationPage>();
    OperationLog log(*page);
    EXPECT_TRUE(read_operations(*page).empty());
    for (std::uint64_t i = 1; i <= 200; ++i) {
        log.end(log.begin({.group = 7,
                           .number = i,
                           .bytes = 10 * i,
                           .kind = OperationKind::allreduce,
                           .ranks = 4}));
    }
    const auto operations = read_operations(*page);
    ASSERT_EQ(operations.size(), OperationPage::entries_kept);
    for (std::size_t i = 0; i < operations.size(); ++i) {
        EXPECT_EQ(operations[i].number, 200 - operations.size() + 1 + i);
        EXPECT_EQ(operations[i].bytes, 10 * operations[i].number);
        EXPECT_GE(operations[i].ended_ns, operations[i].begun_ns);
    }
}

TEST(OperationLog, ShowsAnOperationThatHasNotReturned) {
    auto page = std::make_unique<OperationPage>();
    OperationLog log(*page);
    const RecordedOperation outer(&log, {.group = 1, .number = 1});
    { const RecordedOperation inner(&log, {.group = 2, .number = 1}); }
    const auto operations = read_operations(*page);
    ASSERT_EQ(operations.size(), 2U);
    EXPECT_EQ(operations[0].ended_ns, 0U);
    EXPECT_NE(operations[1].ended_ns, 0U);
}

TEST(OperationLog, TakesAnEndWhoseEntryIsGone) {
    auto page = std::make_unique<OperationPage>();
    OperationLog log(*page);
    const std::uint64_t first = log.begin({.number = 1});
    for (std::uint64_t i = 0; i < OperationPage::entries_kept; ++i) {
        log.begin({.number = 2 + i});
    }
    log.end(first);
    for (const Operation& operation : read_operations(*page)) {
        EXPECT_EQ(operation.ended_ns, 0U);
    }
}

TEST(OperationLog, IsReadWholeWhileThreadsWrite) {
    auto page = std::make_unique<OperationPage>();
    OperationLog log(*page);
    std::atomic<bool> stop{false};
    std::vector<std::jthread> writers;
    for (std::uint64_t w = 1; w <= 2; ++w) {
        writers.emplace_back([&log, &stop, w] {
            for (std::uint64_t i = 1; !stop; ++i) {
                log.end(log.begin({.group = w, .number = i, .bytes = w * 1000 + i}));
            }
        });
    }
    for (int look = 0; look < 2000; ++look) {
        for (const Operation& operation : read_operations(*page)) {
            ASSERT_EQ(operation.bytes, operation.group * 1000 + operation.number);
        }
    }
    stop = true;
}

// Not a measurement, a guard against a mistake of an order of magnitude: the figure is in
// docs/formats/operation-page.md.
TEST(OperationLog, CostsLittle) {
    auto page = std::make_unique<OperationPage>();
    OperationLog log(*page);
    auto shortest = std::chrono::nanoseconds::max();
    for (int round = 0; round < 20; ++round) {
        const auto begin = std::chrono::steady_clock::now();
        for (std::uint64_t i = 0; i < 10000; ++i) {
            log.end(log.begin({.group = 1, .number = i}));
        }
        shortest =
            std::min<std::chrono::nanoseconds>(shortest, std::chrono::steady_clock::now() - begin);
    }
    RecordProperty("nanoseconds", std::to_string(shortest.count() / 10000));
    EXPECT_LT(shortest.count() / 10000, 1000);
}

}  // namespace
}  // namespace mpitrain::recorder
