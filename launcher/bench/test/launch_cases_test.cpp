#include "launch_cases.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mpitrain::bench {
namespace {

using testing::Contains;
using testing::Key;
using testing::Not;
using testing::Pair;

const LaunchTools tools{.mpitrain = "/x/mpitrain",
                        .hello = "/x/hello",
                        .directory = "/tmp/b",
                        .shared_memory_dir = "/dev/shm/b"};

TEST(BareCommand, IsTheEnginesOwnWithTheProgramInTheAgentsPlace) {
    const EngineCommand bare = bare_command({"/x/hello", "arg"}, 8, false, tools, {});
    EXPECT_EQ(
        bare.argv,
        (std::vector<std::string>{
            "mpirun", "--bind-to", "none", "-H", "localhost:8", "-n", "8", "/x/hello", "arg"}));

    LaunchPlan plan;
    plan.groups.push_back({.name = "default", .ranks = 8, .command = {"/x/hello"}, .env = {}});
    plan.ranks.resize(8);
    const EnvironmentMap none;
    const EngineCommand ours =
        make_mpirun_engine()->command({.plan = plan,
                                       .agent_path = "/x/mpitrain-rank",
                                       .control_address = "unix:/c",
                                       .session_dir = tools.directory,
                                       .shared_memory_dir = tools.shared_memory_dir,
                                       .as_root = false,
                                       .extra_args = {},
                                       .environment = none});
    EXPECT_EQ(bare.env, ours.env);
    EXPECT_FALSE(bare.env.empty());
}

TEST(BareCommand, YieldsWhereOurPlanSharesCores) {
    constexpr auto yields = "OMPI_MCA_mpi_yield_when_idle";
    EXPECT_THAT(bare_command({"/x/hello"}, 8, true, tools, {}).env, Contains(Pair(yields, "1")));
    EXPECT_THAT(bare_command({"/x/hello"}, 2, false, tools, {}).env, Not(Contains(Key(yields))));
}

TEST(ReadSharesCores, ReadsPlansAndNothingElse) {
    EXPECT_TRUE(*read_shares_cores(R"({"schema":"mpitrain.plan/1","shares_cores":true})"));
    EXPECT_FALSE(*read_shares_cores(R"({"schema":"mpitrain.plan/1","shares_cores":false})"));
    for (const char* text : {"", "{", "[]", "{}", R"({"shares_cores":"yes"})"}) {
        const auto answer = read_shares_cores(text);
        ASSERT_FALSE(answer) << text;
        EXPECT_EQ(answer.error().code(), ErrorCode::data_loss);
    }
}

}  // namespace
}  // namespace mpitrain::bench
