#include "mpitrain/slurm/allocation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mpitrain::slurm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// As Slurm 22.05 sets it for a script of two nodes with two tasks each.
EnvironmentMap batch_environment() {
    return {{"SLURM_JOB_ID", "42"},
            {"SLURM_JOB_NODELIST", "n[1-2]"},
            {"SLURM_TASKS_PER_NODE", "2(x2)"},
            {"SLURM_NTASKS", "4"},
            {"SLURM_JOB_PARTITION", "main"},
            {"SLURMD_NODENAME", "n1"},
            {"SLURM_GTIDS", "0"}};
}

TEST(Allocation, IsWhatSlurmSays) {
    const auto found = read_allocation(batch_environment());
    ASSERT_TRUE(found && *found);
    const Allocation& allocation = **found;
    EXPECT_EQ(allocation.job, "42");
    EXPECT_EQ(allocation.partition, "main");
    EXPECT_THAT(allocation.nodes, ElementsAre("n1", "n2"));
    EXPECT_THAT(allocation.tasks, ElementsAre(2, 2));
    EXPECT_EQ(allocation.ranks, 4);
    EXPECT_EQ(allocation.slots(), 4);
    EXPECT_EQ(allocation.restarts, 0);
    EXPECT_TRUE(allocation.batch);
}

TEST(Allocation, IsNoneOutsideOfSlurm) {
    const auto found = read_allocation({{"SLURM_CONF", "/etc/slurm.conf"}});
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->has_value());
}

TEST(Allocation, OfSallocsShellIsNoBatchJob) {
    EnvironmentMap environment = batch_environment();
    environment.erase("SLURMD_NODENAME");
    EXPECT_FALSE((*read_allocation(environment))->batch);
    environment["SLURMD_NODENAME"] = "n1";  // with LaunchParameters=use_interactive_step
    environment["SLURM_STEP_ID"] = "4294967290";
    environment["SLURM_STEP_NUM_TASKS"] = "1";
    EXPECT_FALSE((*read_allocation(environment))->batch);
}

TEST(Allocation, CountsRequeues) {
    EnvironmentMap environment = batch_environment();
    environment["SLURM_RESTART_COUNT"] = "3";
    EXPECT_EQ((*read_allocation(environment))->restarts, 3);
}

TEST(Allocation, RefusesToBeStartedOnceATask) {
    EnvironmentMap environment = batch_environment();
    environment["SLURM_STEP_ID"] = "0";
    environment["SLURM_STEP_NUM_TASKS"] = "4";
    const auto found = read_allocation(environment);
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error().text(), HasSubstr("srun has started mpitrain 4 times"));
}

TEST(Allocation, NamesTheVariableThatCannotBe) {
    for (const auto& [name, value] : {std::pair<std::string, std::string>{"SLURM_JOB_ID", "-1"},
                                      {"SLURM_JOB_ID", "99999999999"},
                                      {"SLURM_JOB_NODELIST", "n[1-"},
                                      {"SLURM_JOB_NODELIST", ""},
                                      {"SLURM_TASKS_PER_NODE", "2(x3)"},
                                      {"SLURM_TASKS_PER_NODE", "2(x"},
                                      {"SLURM_TASKS_PER_NODE", "2,,2"},
                                      {"SLURM_TASKS_PER_NODE", "2,2,"},
                                      {"SLURM_NTASKS", "four"},
                                      {"SLURM_RESTART_COUNT", "9223372036854775808"}}) {
        EnvironmentMap environment = batch_environment();
        environment[name] = value;
        const auto found = read_allocation(environment);
        ASSERT_FALSE(found) << name << "=" << value;
        EXPECT_EQ(found.error().where(), name);
        EXPECT_EQ(found.error().code(), ErrorCode::invalid_argument);
    }
}

TEST(ExpandCounts, WritesOutWhatRepeats) {
    EXPECT_THAT(*expand_counts("2(x3),1"), ElementsAre(2, 2, 2, 1));
    EXPECT_THAT(*expand_counts("8"), ElementsAre(8));
    EXPECT_THAT(*expand_counts("1,0,4(x2)"), ElementsAre(1, 0, 4, 4));
}

TEST(ExpandCounts, IsBounded) {
    EXPECT_FALSE(expand_counts("1(x999999999)"));
    EXPECT_FALSE(expand_counts("1(x5),1(x5)", 9));
    EXPECT_TRUE(expand_counts("1(x5),1(x4)", 9));
    EXPECT_FALSE(expand_counts("1(x0)"));
    EXPECT_FALSE(expand_counts(""));
    EXPECT_FALSE(expand_counts("(x2)"));
}

}  // namespace
}  // namespace mpitrain::slurm
