#include "node/node_group.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "node/node_collectives.hpp"

namespace mpitrain::collectives {
namespace {

// A group whose members are threads, each with a mapping of its own, as processes have.
class Members {
  public:
    explicit Members(int count, Nanoseconds deadline = std::chrono::seconds(20)) {
        NodeShape shape{.member = 0, .ranks = {}, .crowded = true, .outbox_bytes = 64 * 1024};
        for (int m = 0; m < count; ++m) {
            shape.ranks.push_back(10 + m);
        }
        const std::size_t bytes = NodeGroup::bytes_for(shape);
        auto first = SharedSegment::create(bytes);
        const SegmentAddress address = first->address();
        for (int m = 0; m < count; ++m) {
            shape.member = m;
            auto segment = SharedSegment::attach(address, bytes);
            EXPECT_TRUE(segment && segment->take_seat(m));
            groups_.push_back(std::make_unique<NodeGroup>(*std::move(segment), shape, deadline));
        }
    }
    NodeGroup& operator[](std::size_t member) { return *groups_[member]; }
    void leave(std::size_t member) { groups_[member].reset(); }

  private:
    std::vector<std::unique_ptr<NodeGroup>> groups_;
};

TEST(NodeGroup, LetsNobodyPassBeforeAllHaveCome) {
    constexpr int steps = 2000;
    Members members(3);
    std::atomic<int> arrived{0};
    std::atomic<int> early{0};
    std::vector<std::jthread> threads;
    for (std::size_t m = 0; m < 3; ++m) {
        threads.emplace_back([&members, &arrived, &early, m] {
            for (int i = 1; i <= steps; ++i) {
                arrived.fetch_add(1);
                const std::uint32_t step = members[m].next_step();
                members[m].pass(Gate::filled, step);
                if (!members[m].await_all(Gate::filled, step, "test") || arrived < 3 * i) {
                    early.fetch_add(1);
                }
            }
        });
    }
    threads.clear();
    EXPECT_EQ(early, 0);
}

TEST(NodeGroup, SleepsUntilALateMemberComes) {
    Members members(2);
    std::jthread late([&members] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));  // longer than it spins
        members[1].pass(Gate::filled, members[1].next_step());
    });
    EXPECT_TRUE(members[0].await(Gate::filled, 1, 1, "test"));
}

TEST(NodeGroup, NamesTheRankThatDidNotCome) {
    Members members(2, std::chrono::milliseconds(10));
    const auto result = members[0].await(Gate::filled, 1, 1, "allreduce");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), ErrorCode::deadline_exceeded);
    EXPECT_EQ(result.error().where(), "allreduce");
    EXPECT_NE(result.error().what().find("rank 11 did not come"), std::string::npos);
}

TEST(NodeGroup, NoticesAMemberThatIsGoneLongBeforeTheDeadline) {
    Members members(2, std::chrono::minutes(5));
    members.leave(1);
    const auto result = members[0].await(Gate::filled, 1, 1, "allreduce");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), ErrorCode::unavailable);
    EXPECT_EQ(result.error().what(), "rank 11 is gone");
}

TEST(NodeGroup, CountsAMemberThatLeftAfterItsStepAsArrived) {
    Members members(2);
    members[1].pass(Gate::filled, 1);
    members.leave(1);
    EXPECT_TRUE(members[0].await(Gate::filled, 1, 1, "test"));
}

TEST(NodeGroup, WakesWhoSleepsWhenAMemberGivesUp) {
    Members members(2, std::chrono::minutes(5));
    std::jthread other([&members] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        members[1].give_up();
    });
    const auto result = members[0].await(Gate::filled, 1, 1, "test");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().what(), "rank 11 gave up");
}

// Ops of every kind in a row, so that every pair of neighbours is tried: what one leaves in an
// outbox must not be what the next one reads.
TEST(NodeCollectives, DoNotDisturbEachOther) {
    constexpr std::size_t members_count = 3;
    Members members(members_count);
    std::atomic<int> wrong{0};
    const auto work = [&](std::size_t m) {
        NodeCollectives ours(members[m]);
        std::uint32_t random = 12345;
        for (int round = 0; round < 400; ++round) {
            random = random * 1664525 + 1013904223;
            const std::size_t count = 1 + (random >> 8) % 60000;
            std::vector<std::int32_t> data(count, static_cast<std::int32_t>(m) + round);
            std::int32_t want = 3 * round + 3;
            Result<void> done;
            if ((random >> 5) % 3 == 0) {
                done = ours.allreduce(data, data, ReduceOp::sum);
            } else if ((random >> 5) % 3 == 1) {
                done = ours.broadcast(data, round % 3);
                want = round % 3 + round;
            } else {
                done = ours.reduce(data, data, ReduceOp::sum, round % 3);
                want = m == static_cast<std::size_t>(round % 3)
                           ? want
                           : static_cast<std::int32_t>(m) + round;
            }
            const auto right = [want](std::int32_t value) { return value == want; };
            if (!done || !std::all_of(data.begin(), data.end(), right)) {
                wrong.fetch_add(1);
            }
        }
    };
    std::vector<std::jthread> threads;
    for (std::size_t m = 0; m < members_count; ++m) {
        threads.emplace_back(work, m);
    }
    threads.clear();
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace mpitrain::collectives
