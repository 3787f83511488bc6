#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mpitrain/engine/engine.hpp"

namespace mpitrain {
namespace {

using testing::Contains;
using testing::Not;

struct Fixture {
    LaunchPlan plan;
    EnvironmentMap environment;
    std::vector<std::string> extra_args;
    EngineCommand command(bool as_root = false) {
        return make_mpirun_engine()->command({.plan = plan,
                                              .agent_path = "/x/mpitrain-rank",
                                              .control_address = "unix:/run/c",
                                              .session_dir = "/s",
                                              .shared_memory_dir = "/m",
                                              .as_root = as_root,
                                              .extra_args = extra_args,
                                              .environment = environment});
    }
};

Fixture with_groups(const std::vector<int>& sizes) {
    Fixture fixture;
    for (const int size : sizes) {
        fixture.plan.groups.push_back(
            {.name = "default", .ranks = size, .command = {"./x"}, .env = {}});
        fixture.plan.ranks.resize(fixture.plan.ranks.size() + static_cast<std::size_t>(size));
    }
    return fixture;
}

TEST(Mpirun, KeepsMpmdGroupsApart) {
    const EngineCommand command = with_groups({1, 7}).command();
    const std::vector<std::string> expected = {"mpirun",
                                               "--bind-to",
                                               "none",
                                               "-H",
                                               "localhost:8",
                                               "-n",
                                               "1",
                                               "/x/mpitrain-rank",
                                               "--control",
                                               "unix:/run/c",
                                               ":",
                                               "-n",
                                               "7",
                                               "/x/mpitrain-rank",
                                               "--control",
                                               "unix:/run/c"};
    EXPECT_EQ(command.argv, expected);
}

TEST(Mpirun, AllowsRootOnlyForRoot) {
    EXPECT_THAT(with_groups({2}).command(false).argv, Not(Contains("--allow-run-as-root")));
    EXPECT_THAT(with_groups({2}).command(true).argv, Contains("--allow-run-as-root"));
}

TEST(Mpirun, TheUsersParametersWin) {
    Fixture fixture = with_groups({2});
    fixture.environment["OMPI_MCA_btl_tcp_if_exclude"] = "docker0";
    fixture.environment["OMPI_MCA_odls_base_num_threads"] = "2";
    const EngineCommand command = fixture.command();
    EXPECT_FALSE(command.env.contains("OMPI_MCA_odls_base_num_threads"));
    EXPECT_FALSE(command.env.contains("OMPI_MCA_btl_tcp_if_include"));
    EXPECT_EQ(command.env.at("OMPI_MCA_oob_tcp_if_include"), "lo");
}

TEST(Mpirun, YieldsOnlyWhereCoresAreShared) {
    Fixture fixture = with_groups({2});
    EXPECT_FALSE(fixture.command().env.contains("OMPI_MCA_mpi_yield_when_idle"));
    fixture.plan.shares_cores = true;
    EXPECT_EQ(fixture.command().env.at("OMPI_MCA_mpi_yield_when_idle"), "1");
}

TEST(Mpirun, PutsEachRankOnItsHostInTheOrderOfThePlan) {
    Fixture fixture = with_groups({1, 2});
    fixture.plan.ranks[0].host = "h2";
    fixture.plan.ranks[1].host = "h2";
    fixture.plan.ranks[2].host = "h1";
    const RemoteLaunch remote{.networks = {"10.1.0.0/16", "10.2.0.0/16"},
                              .ssh_args = {"-F", "cfg"},
                              .heartbeat = std::chrono::milliseconds(2500)};
    const EngineCommand command =
        make_mpirun_engine()->command({.plan = fixture.plan,
                                       .agent_path = "/x/mpitrain-rank",
                                       .control_address = "tcp:10.1.0.1:4000",
                                       .session_dir = "/s",
                                       .shared_memory_dir = "/m",
                                       .as_root = false,
                                       .extra_args = {},
                                       .environment = fixture.environment,
                                       .remote = &remote});
    const std::string line = fmt::format("{}", fmt::join(command.argv, " "));
    EXPECT_EQ(line,
              "mpirun --bind-to none --map-by seq --oversubscribe"
              " -H h2 -x MPITRAIN_JOB_KEY -n 1 /x/mpitrain-rank --control tcp:10.1.0.1:4000"
              " --directory /s --directory /m"
              " : -H h2,h1 -x MPITRAIN_JOB_KEY -n 2 /x/mpitrain-rank --control tcp:10.1.0.1:4000"
              " --directory /s --directory /m");
    EXPECT_EQ(command.env.at("OMPI_MCA_btl_tcp_if_include"), "10.1.0.0/16,10.2.0.0/16");
    EXPECT_EQ(command.env.at("OMPI_MCA_oob_tcp_if_include"), "10.1.0.0/16,10.2.0.0/16");
    EXPECT_EQ(command.env.at("OMPI_MCA_plm_rsh_args"), "-F cfg");
    EXPECT_EQ(command.env.at("OMPI_MCA_oob_tcp_keepalive_time"), "4");
    EXPECT_EQ(command.env.at("OMPI_MCA_odls_base_sigkill_timeout"), "1");
    EXPECT_EQ(command.env.at("OMPI_MCA_mpi_yield_when_idle"), "0");
}

TEST(Mpirun, ReadsWhoAbortedHoweverTheTextIsCut) {
    const std::string text =
        "----\nMPI_ABORT was invoked on rank 13 in communicator MPI_COMM_WORLD\nwith errorcode "
        "7.\n\nNOTE: …";
    for (std::size_t cut = 0; cut < text.size(); ++cut) {
        EngineReport report;
        const auto engine = make_mpirun_engine();
        engine->read(text.substr(0, cut), report);
        engine->read(text.substr(cut), report);
        ASSERT_EQ(report.aborted_rank, Rank(13)) << cut;
        ASSERT_EQ(report.abort_code, 7) << cut;
    }
}

TEST(Mpirun, ReadsThatAProcessFailed) {
    EngineReport report;
    make_mpirun_engine()->read("WARNING: there is more than one interface\n", report);
    EXPECT_FALSE(report.gives_up);
    make_mpirun_engine()->read("Primary job  terminated normally, but 1 process returned\n",
                               report);
    EXPECT_TRUE(report.gives_up);
}

TEST(Mpirun, ReadsWhoLeftWithoutFinalize) {
    EngineReport report;
    make_mpirun_engine()->read(
        "mpirun has exited due to process rank 1 with PID 0 on\nnode vm exiting improperly. There "
        "are three",
        report);
    EXPECT_EQ(report.improper_rank, Rank(1));
}

}  // namespace
}  // namespace mpitrain
