#include "nccl/nccl_backend.hpp"

#include <gtest/gtest.h>

#include <array>
#include <latch>

#include "nccl/fake_ranks.hpp"
#include "reference.hpp"

namespace mpitrain::collectives {
namespace {

using testing::input_of;
using testing::join;
using testing::new_id;
using testing::with_ranks;

std::vector<float> tree_sum(int ranks, std::size_t count) {
    std::vector<std::vector<float>> inputs;
    std::vector<const void*> pieces;
    for (int r = 0; r < ranks; ++r) {
        inputs.push_back(input_of<float>(r, count, ReduceOp::sum));
    }
    for (const auto& input : inputs) {
        pieces.push_back(input.data());
    }
    std::vector<float> result(count);
    reduce_tree(pieces, count, DataType::f32, ReduceOp::sum, result.data());
    return result;
}

class NcclCollectives : public ::testing::TestWithParam<std::tuple<int, ReductionOrder>> {};

TEST_P(NcclCollectives, GiveWhatTheyPromise) {
    const int size = std::get<0>(GetParam());
    const ReductionOrder order = std::get<1>(GetParam());
    const CommunicatorOptions options{.order = order, .deadline = std::chrono::seconds(20)};
    for (const std::size_t count : {std::size_t{1}, std::size_t{7}, std::size_t{30000}}) {
        const std::vector<float> want = tree_sum(size, count * static_cast<std::size_t>(size));
        const std::size_t all = want.size();
        with_ranks(size, options, [&](Communicator& comm) {
            const auto rank = static_cast<std::size_t>(comm.rank());
            const auto mine = input_of<float>(comm.rank(), all, ReduceOp::sum);
            std::vector<float> sum(all);
            std::vector<float> rooted(all);
            std::vector<float> part(count);
            std::vector<float> gathered(all);
            std::vector<float> turned(all);
            auto first = mine;
            const auto own = std::span(mine).subspan(rank * count, count);
            ASSERT_TRUE(comm.allreduce(mine, sum, ReduceOp::sum));
            ASSERT_TRUE(comm.reduce(mine, rooted, ReduceOp::sum, comm.size() - 1));
            ASSERT_TRUE(comm.reduce_scatter(mine, part, ReduceOp::sum));
            ASSERT_TRUE(comm.allgather(own, gathered));
            ASSERT_TRUE(comm.all_to_all(mine, turned));
            ASSERT_TRUE(comm.broadcast(first, 0));
            ASSERT_TRUE(comm.synchronize());
            EXPECT_EQ(first, input_of<float>(0, all, ReduceOp::sum));
            for (std::size_t i = 0; i < all; ++i) {
                // The inputs are small multiples of 1/16, so that every order gives the same sum.
                ASSERT_EQ(sum[i], want[i]);
                const auto from = static_cast<int>(i / count);
                const auto theirs = testing::element_of<float>(from, i, ReduceOp::sum);
                ASSERT_EQ(gathered[i], theirs);
                const std::size_t place = rank * count + i % count;
                ASSERT_EQ(turned[i], testing::element_of<float>(from, place, ReduceOp::sum));
            }
            EXPECT_TRUE(std::equal(part.begin(), part.end(), &want[rank * count]));
            EXPECT_TRUE(comm.rank() != comm.size() - 1 || rooted == want);
            ASSERT_TRUE(comm.barrier());
        });
    }
}
INSTANTIATE_TEST_SUITE_P(Ranks,
                         NcclCollectives,
                         ::testing::Combine(::testing::Values(1, 2, 3, 4),
                                            ::testing::Values(ReductionOrder::rank_tree,
                                                              ReductionOrder::any)));

TEST(NcclCommunicator, PassesMessagesAroundTheRing) {
    with_ranks(3, {.deadline = std::chrono::seconds(20)}, [](Communicator& comm) {
        const std::vector<std::int32_t> mine{comm.rank()};
        std::vector<std::int32_t> theirs{-1};
        ASSERT_TRUE(comm.send_recv(mine, (comm.rank() + 1) % 3, theirs, (comm.rank() + 2) % 3));
        ASSERT_TRUE(comm.synchronize());
        EXPECT_EQ(theirs[0], (comm.rank() + 2) % 3);
    });
}

TEST(NcclCommunicator, IsDestroyedNotAbortedAfterCleanWork) {
    const int aborts = nccl_double_aborts();
    const int destroys = nccl_double_destroys();
    with_ranks(2, {.deadline = std::chrono::seconds(20)}, [](Communicator& comm) {
        ASSERT_TRUE(comm.barrier());
    });
    EXPECT_EQ(nccl_double_aborts(), aborts);
    EXPECT_EQ(nccl_double_destroys(), destroys + 2);
}

TEST(NcclCommunicator, EndsItsStartAtTheDeadlineWhenARankIsMissing) {
    const int aborts = nccl_double_aborts();
    const auto comm = join(new_id(), 0, 2, {.deadline = std::chrono::milliseconds(20)});
    ASSERT_FALSE(comm);
    EXPECT_EQ(comm.error().code(), ErrorCode::deadline_exceeded);
    EXPECT_EQ(nccl_double_aborts(), aborts + 1);
}

TEST(NcclCommunicator, EndsAWaitForAStuckRankAndStaysDead) {
    with_ranks(2, {.deadline = std::chrono::milliseconds(50)}, [](Communicator& comm) {
        if (comm.rank() == 1) {
            return;  // never comes
        }
        std::vector<float> data(10);
        ASSERT_TRUE(comm.allreduce(data, ReduceOp::sum)) << "only enqueued";
        const auto late = comm.synchronize();
        ASSERT_FALSE(late);
        EXPECT_EQ(late.error().code(), ErrorCode::deadline_exceeded);
        EXPECT_EQ(comm.barrier().error(), late.error());
    });
}

TEST(NcclCommunicator, TellsOfAnAsynchronousError) {
    std::array<Result<void>, 2> answers;
    std::latch both_are_through(2);
    with_ranks(2, {.deadline = std::chrono::seconds(20)}, [&](Communicator& comm) {
        ASSERT_TRUE(comm.barrier());
        both_are_through.arrive_and_wait();
        nccl_double_inject(ncclRemoteError);
        answers[static_cast<std::size_t>(comm.rank())] = comm.synchronize();
        EXPECT_FALSE(comm.barrier());
    });
    nccl_double_inject(ncclSuccess);
    for (const auto& answer : answers) {
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().code(), ErrorCode::unavailable);
        EXPECT_NE(answer.error().text().find("remote process exited; last words"),
                  std::string::npos);
    }
}

TEST(NcclBadUse, IsATypedErrorAndLeavesTheCommunicatorUsable) {
    with_ranks(2, {.deadline = std::chrono::seconds(20)}, [](Communicator& comm) {
        std::vector<float> some(8);
        std::vector<float> other(7);
        std::vector<double> doubles(8);
        const auto code = [](const Result<void>& result) {
            return result ? ErrorCode::internal : result.error().code();
        };
        const auto invalid = ErrorCode::invalid_argument;
        EXPECT_EQ(invalid, code(comm.allreduce(Buffer(nullptr, 8, DataType::f32), ReduceOp::sum)));
        EXPECT_EQ(invalid, code(comm.allreduce(some, other, ReduceOp::sum)));
        EXPECT_EQ(invalid, code(comm.allreduce(some, doubles, ReduceOp::sum)));
        EXPECT_EQ(invalid, code(comm.allgather(some, other)));
        EXPECT_EQ(invalid, code(comm.broadcast(some, 2)));
        EXPECT_EQ(invalid, code(comm.send(some, -1)));
        const auto wrong_memory = comm.allreduce(testing::elsewhere, ReduceOp::sum);
        EXPECT_EQ(invalid, code(wrong_memory));
        EXPECT_NE(wrong_memory.error().text().find("send: is memory of the host"),
                  std::string::npos)
            << wrong_memory.error().text();
        EXPECT_TRUE(comm.barrier());
    });
}

TEST(NcclBadUse, OfACommunicatorThatWasGivenUpIsATypedError) {
    with_ranks(2, {.deadline = std::chrono::seconds(20)}, [](Communicator& comm) {
        comm.abort();
        std::vector<float> some(8);
        for (const auto& result : {comm.allreduce(some, ReduceOp::sum),
                                   comm.broadcast(some, 0),
                                   comm.barrier(),
                                   comm.synchronize()}) {
            ASSERT_FALSE(result);
            EXPECT_EQ(result.error().code(), ErrorCode::cancelled);
        }
        EXPECT_EQ(comm.split(0, 0).error().code(), ErrorCode::cancelled);
        EXPECT_EQ(comm.shrink(std::array{1 - comm.rank()}).error().code(), ErrorCode::cancelled);
    });
}

TEST(NcclApi, SaysWhatIsMissing) {
    const auto none = NcclApi::open("libno-such-nccl.so.2");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), ErrorCode::unavailable);
    EXPECT_FALSE(none.error().mend().empty());
    const auto other = NcclApi::open("libm.so.6");
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code(), ErrorCode::unsupported);
    EXPECT_NE(other.error().what().find("ncclGetVersion"), std::string::npos);
}

}  // namespace
}  // namespace mpitrain::collectives
