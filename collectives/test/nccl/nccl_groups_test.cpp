// Communicators made of communicators, and ids of the start.
#include <gtest/gtest.h>

#include <array>
#include <latch>
#include <numeric>

#include "nccl/fake_ranks.hpp"

namespace mpitrain::collectives {
namespace {

using namespace testing;

constexpr CommunicatorOptions patient{.deadline = std::chrono::seconds(20)};

// The sum of what the ranks of `comm` give.
float sum_over(Communicator& comm, float mine) {
    std::vector<float> data{mine};
    EXPECT_TRUE(comm.allreduce(data, ReduceOp::sum));
    EXPECT_TRUE(comm.synchronize());
    return data[0];
}

TEST(NcclGroups, SplitByColourAndOrderByKey) {
    with_ranks(5, patient, [](Communicator& comm) {
        const auto colour = comm.rank() == 4 ? std::nullopt : std::optional<int>(comm.rank() % 2);
        auto part = comm.split(colour, -comm.rank());
        ASSERT_TRUE(part) << part.error().text();
        ASSERT_EQ(part->has_value(), comm.rank() != 4);
        if (comm.rank() != 4) {
            EXPECT_EQ((*part)->size(), 2);
            EXPECT_EQ((*part)->rank(), comm.rank() < 2 ? 1 : 0);  // the higher has the lower key
            EXPECT_EQ(sum_over(**part, static_cast<float>(comm.rank())),
                      comm.rank() % 2 == 0 ? 2.0F : 4.0F);
        }
        EXPECT_EQ(sum_over(comm, 1), 5);  // the whole goes on
    });
}

TEST(NcclGroups, ASplitEndsAtTheDeadlineWhenARankDoesNotCome) {
    const int aborts = nccl_double_aborts();
    with_ranks(2, {.deadline = std::chrono::milliseconds(50)}, [](Communicator& comm) {
        if (comm.rank() == 1) {
            return;
        }
        const auto part = comm.split(0, 0);
        ASSERT_FALSE(part);
        EXPECT_EQ(part.error().code(), ErrorCode::deadline_exceeded);
        EXPECT_FALSE(comm.barrier());
    });
    EXPECT_GE(nccl_double_aborts(), aborts + 2) << "the half-made one too";
}

TEST(NcclGroups, ShrinkToTheRanksThatStay) {
    with_ranks(4, patient, [](Communicator& comm) {
        if (comm.rank() == 1) {
            return;  // leaves without a word
        }
        auto rest = comm.shrink(std::array{1});
        ASSERT_TRUE(rest) << rest.error().text();
        EXPECT_EQ(rest->size(), 3);
        EXPECT_EQ(rest->rank(), comm.rank() == 0 ? 0 : comm.rank() - 1);
        EXPECT_EQ(sum_over(*rest, static_cast<float>(comm.rank())), 5);
        comm.abort();
    });
}

TEST(NcclGroups, ShrinkAfterARankWasLost) {
    with_ranks(3, {.deadline = std::chrono::milliseconds(300)}, [](Communicator& comm) {
        if (comm.rank() == 2) {
            return;
        }
        std::vector<float> data(10);
        ASSERT_TRUE(comm.allreduce(data, ReduceOp::sum)) << "only enqueued";
        EXPECT_EQ(comm.synchronize().error().code(), ErrorCode::deadline_exceeded);
        EXPECT_FALSE(comm.barrier()) << "what failed stays dead";
        auto rest = comm.shrink(std::array{2});
        ASSERT_TRUE(rest) << rest.error().text();
        EXPECT_EQ(sum_over(*rest, 1), 2);
    });
}

TEST(NcclGroups, RefuseToShrinkWrongly) {
    with_ranks(2, patient, [](Communicator& comm) {
        const auto code = [](const Result<Communicator>& result) {
            return result ? ErrorCode::internal : result.error().code();
        };
        EXPECT_EQ(code(comm.shrink({})), ErrorCode::invalid_argument);
        EXPECT_EQ(code(comm.shrink(std::array{comm.rank()})), ErrorCode::invalid_argument);
        EXPECT_EQ(code(comm.shrink(std::array{2})), ErrorCode::invalid_argument);
        EXPECT_TRUE(comm.barrier()) << "and go on";
    });
}

TEST(NcclGroups, GrowByRanksThatHoldATicket) {
    const ncclUniqueId id = new_id();
    ncclUniqueId ticket{};
    std::latch minted(1);
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < 4; ++rank) {
        threads.emplace_back([&, rank] {
            std::unique_ptr<NcclBackend> larger;
            std::unique_ptr<NcclBackend> old;
            if (rank < 2) {
                auto opened = NcclBackend::open(
                    double_api(), std::make_unique<FakeDevice>(), {&id, 1}, rank, 2, patient);
                ASSERT_TRUE(opened);
                old = *std::move(opened);
                if (rank == 0) {
                    const auto made = old->grow_ticket();
                    ASSERT_TRUE(made);
                    ticket = *made;
                    minted.count_down();
                }
                auto grown = old->grow(4, rank == 0 ? &ticket : nullptr);
                ASSERT_TRUE(grown) << grown.error().text();
                larger = *std::move(grown);
            } else {
                minted.wait();
                auto joined = NcclBackend::join(
                    double_api(), std::make_unique<FakeDevice>(), ticket, rank, 4, patient);
                ASSERT_TRUE(joined) << joined.error().text();
                larger = *std::move(joined);
            }
            EXPECT_EQ(larger->rank(), rank);
            Communicator comm(std::move(larger));
            EXPECT_EQ(sum_over(comm, static_cast<float>(rank)), 6);
        });
    }
}

TEST(NcclGroups, AreUnsupportedWhereNcclIsTooOld) {
    auto old = std::make_shared<NcclApi>(*double_api());
    old->split = nullptr;
    old->shrink = nullptr;
    old->grow = nullptr;
    const ncclUniqueId id = new_id();
    auto opened = NcclBackend::open(old, std::make_unique<FakeDevice>(), {&id, 1}, 0, 1, patient);
    ASSERT_TRUE(opened);
    NcclBackend& backend = **opened;
    for (const auto& code : {backend.split(0, 0).error().code(),
                             backend.shrink(std::array{0}).error().code(),
                             backend.grow_ticket().error().code(),
                             backend.grow(2, nullptr).error().code()}) {
        EXPECT_EQ(code, ErrorCode::unsupported);
    }
    EXPECT_TRUE(backend.barrier()) << "and goes on";
}

TEST(NcclIds, AreOneForEach256RanksMintedByTheFirstOfEachShare) {
    EXPECT_EQ(ids_for(1), 1);
    EXPECT_EQ(ids_for(256), 1);
    EXPECT_EQ(ids_for(257), 2);
    EXPECT_EQ(ids_for(16384), 64);
    std::vector<int> minters;
    for (int i = 0; i < 3; ++i) {
        minters.push_back(minter_of(i, 3, 10));
    }
    EXPECT_EQ(minters, (std::vector<int>{0, 4, 7}));  // shares of 4, 3 and 3
}

TEST(NcclIds, StartOneCommunicatorTogether) {
    const std::array<ncclUniqueId, 2> ids{new_id(), new_id()};
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < 3; ++rank) {
        threads.emplace_back([&, rank] {
            auto backend = NcclBackend::open(
                double_api(), std::make_unique<FakeDevice>(), ids, rank, 3, patient);
            ASSERT_TRUE(backend);
            Communicator comm(*std::move(backend));
            EXPECT_EQ(sum_over(comm, 1), 3);
        });
    }
    threads.clear();
    EXPECT_EQ(nccl_double_ids_of_last_start(), 2);
}

}  // namespace
}  // namespace mpitrain::collectives
