#include "mpitrain/model/job_spec.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace mpitrain {
namespace {

JobSpec good_job() {
    JobSpec spec;
    spec.name = "train";
    spec.groups = {{"default", 4, {"./train"}, {}}};
    return spec;
}

TEST(JobSpecValidate, AcceptsAPlainJob) {
    EXPECT_TRUE(validate(good_job()));
}

struct BadJob {
    std::function<void(JobSpec&)> spoil;
    std::string error;
};

TEST(JobSpecValidate, NamesTheOptionAndTheMend) {
    const std::vector<BadJob> table = {
        {[](JobSpec& s) { s.groups.clear(); },
         "no program given (write it after the options, or as 'command' in a job file)"},
        {[](JobSpec& s) { s.groups[0].command = {""}; },
         "group 'default' has no program (every ':' stands between two programs)"},
        {[](JobSpec& s) { s.groups[0].ranks = 0; },
         "--ranks: 0 ranks of train (give at least 1, or all)"},
        {[](JobSpec& s) {
             s.groups = {{"a", {}, {"x"}, {}}, {"b", {}, {"y"}, {}}};
         },
         "--ranks: 2 of the programs take all ranks that are left (give all but one of them a "
         "number with -n)"},
        {[](JobSpec& s) { s.name = "a/b"; },
         "--name: 'a/b' is no name for a job (use at most 128 printable characters and no /)"},
        {[](JobSpec& s) { s.env["2X"] = "1"; },
         "--env: '2X' is no name of an environment variable (use letters, digits and _, no digit "
         "first)"},
        {[](JobSpec& s) { s.groups[0].env["RANK"] = "1"; },
         "--env: RANK is set by mpitrain for every rank (leave it out)"},
        {[](JobSpec& s) { s.env["CUDA_VISIBLE_DEVICES"] = "1"; },
         "--env: CUDA_VISIBLE_DEVICES is set by mpitrain for every rank (set it before mpitrain, "
         "as input, to limit "
         "the GPUs it may use)"},
        {[](JobSpec& s) {
             s.min_ranks = 4;
             s.max_ranks = 2;
         },
         "--min-ranks: 4 is above --max-ranks 2 (swap them)"},
        {[](JobSpec& s) { s.min_ranks = 5; },
         "--min-ranks: 5 is above --ranks 4 (start with at least as many ranks as may ever run)"},
        {[](JobSpec& s) { s.max_ranks = 3; },
         "--max-ranks: 3 is below --ranks 4 (start with at most as many ranks as may ever run)"},
        {[](JobSpec& s) { s.nodes = 5; },
         "--nodes: 5 nodes for 4 ranks (ask for no more nodes than ranks)"},
        {[](JobSpec& s) {
             s.nodes = 1;
             s.ranks_per_node = 2;
         },
         "--ranks-per-node: 1 nodes with 2 ranks each hold 2 of 4 ranks (leave one of the three "
         "out)"},
        {[](JobSpec& s) {
             s.host = {"a"};
             s.hostfile = "/h";
         },
         "--hostfile: --host names the machines too (give one of the two)"},
        {[](JobSpec& s) {
             s.device = Device::cpu;
             s.gpu_type = "h100";
         },
         "--gpu-type: --device cpu uses no GPU (give one of the two)"},
        {[](JobSpec& s) { s.hang_timeout_mode = HangTimeoutMode::fixed; },
         "--hang-timeout: 0 would end every job (use off, auto or a duration)"},
        {[](JobSpec& s) {
             s.engine = EngineKind::srun;
             s.mpirun_args = {"-x"};
         },
         "--mpirun-arg: --engine srun starts no mpirun (use --srun-arg)"},
    };
    for (const BadJob& bad : table) {
        JobSpec spec = good_job();
        bad.spoil(spec);
        const auto valid = validate(spec);
        ASSERT_FALSE(valid) << bad.error;
        EXPECT_EQ(valid.error().text(), bad.error);
        EXPECT_EQ(valid.error().code(), ErrorCode::invalid_argument);
    }
}

TEST(JobSpec, TotalRanksIsOpenWhenAGroupIs) {
    JobSpec spec = good_job();
    EXPECT_EQ(total_ranks(spec), 4);
    spec.groups.push_back({"b", 2, {"y"}, {}});
    EXPECT_EQ(total_ranks(spec), 6);
    spec.groups.push_back({"c", {}, {"z"}, {}});
    EXPECT_EQ(total_ranks(spec), std::nullopt);
}

TEST(JobSpec, ProgramNameIsTheBaseName) {
    EXPECT_EQ(program_name({"", 1, {"/usr/bin/python3", "t.py"}, {}}), "python3");
    EXPECT_EQ(program_name({"", 1, {"./a/"}, {}}), "./a/");
}

}  // namespace
}  // namespace mpitrain
