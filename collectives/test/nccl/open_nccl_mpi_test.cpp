// Opening NCCL with ranks that cannot, or are gone: every rank that is left gets a typed error
// within the deadline. On a library in NCCL's place, whose ranks would have to be of one process:
// with several processes its own start never ends.
#include <gtest/gtest.h>

#include <chrono>

#include "mpitrain/collectives/mpi_interop.hpp"
#include "nccl/fake_ranks.hpp"
#include "nccl/open_parts.hpp"
#include "roll_call.hpp"

namespace mpitrain::collectives {
namespace {

using Clock = std::chrono::steady_clock;

Communicator world() {
    auto comm = communicator_from_mpi(MPI_COMM_WORLD, {.deadline = std::chrono::seconds(20)});
    EXPECT_TRUE(comm);
    return *std::move(comm);
}

Result<NcclParts> parts() {
    return NcclParts{testing::double_api(), std::make_unique<testing::FakeDevice>()};
}

Result<Communicator> open_nccl_over(Communicator& ranks,
                                    Result<NcclParts> own,
                                    const CommunicatorOptions& options) {
    MpiMeeting meeting(ranks);
    return open_nccl_with(meeting, std::move(own), options);
}

TEST(RollCall, TellsEveryoneWhatEveryoneSaid) {
    Communicator comm = world();
    for (int round = 0; round < 3; ++round) {
        const auto mine = static_cast<std::uint8_t>(comm.rank() * 3 + round);
        const auto answers = roll_call(comm, mine, std::chrono::seconds(20));
        ASSERT_TRUE(answers) << answers.error().text();
        for (int r = 0; r < comm.size(); ++r) {
            EXPECT_EQ((*answers)[static_cast<std::size_t>(r)], r * 3 + round);
        }
        EXPECT_EQ(absentees(*answers), "");
    }
}

TEST(RollCall, NamesWhoDoesNotAnswer) {
    Communicator patient = world();
    Communicator comm = world();
    if (comm.size() > 2 && comm.rank() != 1) {
        const auto answers = roll_call(comm, 1, std::chrono::milliseconds(400));
        ASSERT_TRUE(answers) << answers.error().text();
        EXPECT_EQ(absentees(*answers), "rank 1");
    }
    EXPECT_TRUE(patient.barrier());
}

TEST(RollCall, SaysThatItsKeeperIsMissing) {
    Communicator patient = world();
    Communicator comm = world();
    if (comm.rank() > 0) {
        const auto answers = roll_call(comm, 1, std::chrono::milliseconds(200));
        ASSERT_FALSE(answers);
        EXPECT_EQ(answers.error().code(), ErrorCode::deadline_exceeded);
        EXPECT_NE(answers.error().what().find("rank 0"), std::string::npos);
    }
    EXPECT_TRUE(patient.barrier());
}

TEST(RollCall, ListsNames) {
    EXPECT_EQ(absentees({1, 2}), "");
    EXPECT_EQ(absentees({1, std::nullopt, 0}), "rank 1");
    EXPECT_EQ(absentees({std::nullopt, std::nullopt, 0, std::nullopt}), "ranks 0, 1 and 3");
    EXPECT_EQ(absentees(Answers(20)).substr(0, 12), "ranks 0, 1, ");
    EXPECT_NE(absentees(Answers(20)).find("15 and 4 more"), std::string::npos);
}

TEST(OpenNccl, OfOneRankWorks) {
    Communicator everyone = world();
    auto alone = everyone.split(everyone.rank(), 0);
    ASSERT_TRUE(alone);
    auto comm = open_nccl_over(**alone, parts(), {.deadline = std::chrono::seconds(20)});
    ASSERT_TRUE(comm) << comm.error().text();
    std::vector<float> data{3};
    EXPECT_TRUE(comm->allreduce(data, ReduceOp::sum));
    EXPECT_TRUE(comm->synchronize());
    EXPECT_EQ(data[0], 3);
}

TEST(OpenNccl, IsAnErrorEverywhereWhereOneRankCannot) {
    Communicator comm = world();
    const bool cannot = comm.rank() == comm.size() - 1;
    auto opened = open_nccl_over(comm,
                                 cannot ? Error(ErrorCode::unavailable, "no GPU here") : parts(),
                                 {.deadline = std::chrono::seconds(20)});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), ErrorCode::unavailable);
    const std::string expected =
        cannot ? "no GPU here" : "rank " + std::to_string(comm.size() - 1) + " cannot open NCCL";
    EXPECT_NE(opened.error().what().find(expected), std::string::npos) << opened.error().text();
    EXPECT_TRUE(comm.barrier()) << "the ranks themselves go on";
}

TEST(OpenNccl, NamesTheRankThatDoesNotComeWithinTheDeadline) {
    Communicator patient = world();
    Communicator comm = world();
    if (comm.size() > 1 && comm.rank() != 1) {
        constexpr auto deadline = std::chrono::milliseconds(800);
        const auto begin = Clock::now();
        const auto opened = open_nccl_over(comm, parts(), {.deadline = deadline});
        EXPECT_LT(Clock::now() - begin, deadline + std::chrono::milliseconds(500));
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().code(), ErrorCode::deadline_exceeded);
        EXPECT_NE(opened.error().what().find("rank 1 did not come"), std::string::npos)
            << opened.error().text();
    }
    EXPECT_TRUE(patient.barrier());
}

TEST(OpenNccl, EndsAtTheDeadlineWhereNcclsOwnStartDoesNot) {
    Communicator comm = world();
    if (comm.size() == 1) {
        return;
    }
    constexpr auto deadline = std::chrono::milliseconds(800);
    const auto begin = Clock::now();
    const auto opened = open_nccl_over(comm, parts(), {.deadline = deadline});
    EXPECT_LT(Clock::now() - begin, deadline + std::chrono::milliseconds(500));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), ErrorCode::deadline_exceeded);
    EXPECT_TRUE(comm.barrier()) << "the ranks themselves go on";
}

}  // namespace
}  // namespace mpitrain::collectives
