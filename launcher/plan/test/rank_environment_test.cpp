#include "mpitrain/plan/rank_environment.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace mpitrain {
namespace {

TEST(RankBaseEnvironment, KeepsWhatTheSubmitterSet) {
    const EnvironmentMap mine = {{"PATH", "/bin"},
                                 {"HOME", "/home/ada"},
                                 {"OMPI_MCA_btl", "tcp,self"},
                                 {"NCCL_DEBUG", "INFO"},
                                 {"SLURM_JOB_ID", "7"},
                                 {"CUDA_VISIBLE_DEVICES", "1"},
                                 {"PYTHONPATH", "src"},
                                 {"BASH_FUNC_f%%", "() { :; }"}};
    EXPECT_EQ(rank_base_environment(mine), mine);
}

TEST(RankBaseEnvironment, DropsWhatAnOuterLauncherOrJobLeft) {
    EXPECT_EQ(rank_base_environment({{"MPITRAIN_OPT_RANKS", "4"},
                                     {"MPITRAIN_CONTROL", "/dev/shm/x"},
                                     {"OMPI_COMM_WORLD_RANK", "1"},
                                     {"OMPI_MCA_orte_hnp_uri", "x"},
                                     {"OMPI_MCA_ess_base_jobid", "x"},
                                     {"PMIX_NAMESPACE", "x"},
                                     {"PMI_RANK", "0"},
                                     {"SLURM_PROCID", "0"},
                                     {"SLURM_STEP_ID", "0"},
                                     {"RANK", "0"},
                                     {"TORCHELASTIC_RUN_ID", "x"},
                                     {"MASTER_PORT", "29500"},
                                     {"NOTIFY_SOCKET", "x"}}),
              EnvironmentMap());
}

TEST(RankBaseEnvironment, TheGuideNamesAllThatIsDropped) {
    std::ifstream file(std::string(MPITRAIN_SOURCE_DIRECTORY) + "/docs/guide/options.md");
    std::ostringstream text;
    text << file.rdbuf();
    for (const std::string& name : denied_variables()) {
        EXPECT_NE(text.str().find("`" + name + "`"), std::string::npos) << name;
    }
}

TEST(Secrets, AreKnownByTheirNames) {
    for (const char* name :
         {"AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "wandb_api_key", "PGPASSWORD", "GITHUB_TOKEN"}) {
        EXPECT_TRUE(is_secret(name)) << name;
    }
    for (const char* name : {"PATH", "KEYBOARD", "RANK", "MONKEY", "OMP_NUM_THREADS"}) {
        EXPECT_FALSE(is_secret(name)) << name;
    }
}

}  // namespace
}  // namespace mpitrain
