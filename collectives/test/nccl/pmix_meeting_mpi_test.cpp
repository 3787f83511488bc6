// Ranks that find each other by PMIx alone; only at the very end does MPI start.
#include "nccl/pmix_meeting.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <thread>

#include "mpitrain/collectives/environment.hpp"
#include "mpitrain/collectives/mpi_interop.hpp"
#include "nccl/fake_ranks.hpp"
#include "nccl/open_parts.hpp"

namespace mpitrain::collectives {
namespace {

using Clock = std::chrono::steady_clock;

Meeting& meeting() {
    static const auto met = meet_by_pmix(std::chrono::seconds(20));
    EXPECT_TRUE(met) << met.error().text();
    return **met;
}

Result<NcclParts> parts() {
    return NcclParts{testing::double_api(), std::make_unique<testing::FakeDevice>()};
}

TEST(PmixMeeting, ExchangesWhatTheRanksSay) {
    for (int round = 0; round < 3; ++round) {
        const std::string mine(static_cast<std::size_t>(meeting().rank() * 50), 'x');
        const auto all = meeting().exchange(mine);
        ASSERT_TRUE(all) << all.error().text();
        ASSERT_EQ(static_cast<int>(all->size()), meeting().size());
        for (std::size_t r = 0; r < all->size(); ++r) {
            EXPECT_EQ((*all)[r], std::string(r * 50, 'x'));
        }
    }
}

TEST(PmixMeeting, NamesWhoDoesNotAnswer) {
    if (meeting().size() > 1) {
        if (meeting().rank() == 1) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1500));
        }
        const auto answers = meeting().roll_call(7, std::chrono::milliseconds(300));
        ASSERT_TRUE(answers);
        EXPECT_EQ(absentees(*answers), meeting().rank() == 1 ? "" : "rank 1");
    }
    EXPECT_TRUE(meeting().exchange("together again"));
}

TEST(PmixMeeting, OpensNcclOrSaysWhyNot) {
    constexpr auto deadline = std::chrono::milliseconds(1500);
    const auto begin = Clock::now();
    const auto opened = open_nccl_with(meeting(), parts(), {.deadline = deadline});
    // The library in NCCL's place ends its start only where all ranks are of one process.
    EXPECT_EQ(opened.has_value(), meeting().size() == 1);
    if (!opened) {
        EXPECT_EQ(opened.error().code(), ErrorCode::deadline_exceeded) << opened.error().text();
        EXPECT_LT(Clock::now() - begin, deadline + std::chrono::milliseconds(700));
    }
    EXPECT_TRUE(meeting().exchange("together again"));
}

TEST(PmixMeeting, IsAnErrorEverywhereWhereOneRankCannot) {
    const bool cannot = meeting().rank() == 0;
    const auto opened =
        open_nccl_with(meeting(),
                       cannot ? Error(ErrorCode::unavailable, "no GPU here") : parts(),
                       {.deadline = std::chrono::seconds(20)});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), ErrorCode::unavailable);
}

// Last: MPI starts although PMIx is there already.
TEST(PmixMeeting, LeavesMpiToBeStartedLater) {
    auto environment = Environment::open();
    ASSERT_TRUE(environment) << environment.error().text();
    {
        auto world = Communicator::world(*environment, {.deadline = std::chrono::seconds(20)});
        ASSERT_TRUE(world);
        EXPECT_EQ(world->rank(), meeting().rank());
        EXPECT_TRUE(world->barrier());
    }
    EXPECT_TRUE(environment->close());
}

}  // namespace
}  // namespace mpitrain::collectives

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
