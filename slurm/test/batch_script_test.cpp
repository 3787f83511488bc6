#include "mpitrain/slurm/batch_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mpitrain::slurm {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

JobSpec training() {
    JobSpec spec;
    spec.name = "train";
    spec.groups = {{.name = "default", .ranks = 4, .command = {"./train"}, .env = {}}};
    spec.ranks_per_node = 2;
    return spec;
}

BatchScript written(const JobSpec& spec, bool has_gpus = false) {
    auto script = write_batch_script({.spec = spec,
                                      .has_gpus = has_gpus,
                                      .program = "/opt/mpitrain/bin/mpitrain",
                                      .command = {"-n", "4", "--", "./train"}});
    EXPECT_TRUE(script) << (script ? "" : script.error().text());
    return script ? *script : BatchScript();
}

TEST(BatchScript, IsReadableAndWhole) {
    JobSpec spec = training();
    spec.queue = "main";
    spec.cpus_per_rank = 3;
    EXPECT_EQ(written(spec).text,
              "#!/bin/bash\n"
              "#SBATCH --job-name=train\n"
              "#SBATCH --nodes=2\n"
              "#SBATCH --ntasks=4\n"
              "#SBATCH --ntasks-per-node=2\n"
              "#SBATCH --cpus-per-task=3\n"
              "#SBATCH --signal=B:TERM@40\n"
              "#SBATCH --requeue\n"
              "#SBATCH --open-mode=append\n"
              "#SBATCH --output=mpitrain-%j.log\n"
              "#SBATCH --partition=main\n"
              "\n"
              "exec /opt/mpitrain/bin/mpitrain run -n 4 -- ./train\n");
}

TEST(BatchScript, AsksForGpusOnlyWhereTheyAre) {
    JobSpec spec = training();
    EXPECT_THAT(written(spec, true).text, HasSubstr("#SBATCH --gres=gpu:2\n"));
    EXPECT_THAT(written(spec, false).text, Not(HasSubstr("gpu")));
    spec.gpus_per_rank = 2;
    spec.gpu_type = "h100";
    EXPECT_THAT(written(spec, false).text, HasSubstr("#SBATCH --gres=gpu:h100:4\n"));
    spec.ranks_per_node.reset();
    EXPECT_THAT(written(spec, true).text, HasSubstr("#SBATCH --gpus=h100:8\n"));
    spec.device = Device::cpu;
    spec.gpu_type.clear();
    EXPECT_THAT(written(spec, true).text, Not(HasSubstr("gpu")));
}

TEST(BatchScript, LeavesTheJobsTimeLimitToMpitrain) {
    JobSpec spec = training();
    spec.time_limit = 90min;
    spec.stop_grace = 61s;
    const std::string text = written(spec).text;
    EXPECT_THAT(text,
                HasSubstr("#SBATCH --time=93\n"));  // 90 min and 61 s, rounded up, and one more
    EXPECT_THAT(text, HasSubstr("#SBATCH --signal=B:TERM@71\n"));
}

TEST(BatchScript, GivesMemoryToEachCore) {
    JobSpec spec = training();
    spec.mem_per_rank = Bytes(std::uint64_t{10} << 30U);
    spec.cpus_per_rank = 4;
    EXPECT_THAT(written(spec).text, HasSubstr("#SBATCH --mem-per-cpu=2621440K\n"));
}

TEST(BatchScript, KeepsHostileTextOutOfItsLinesAndTheShell) {
    JobSpec spec = training();
    spec.name = "a\nb'c\"d|$(reboot) ";
    spec.slurm["account"] = "two words";
    auto script = write_batch_script({.spec = spec,
                                      .has_gpus = false,
                                      .program = "/a b/mpitrain",
                                      .command = {"--", "./x", "$(rm -rf /)", "it's", "", "\n"}});
    ASSERT_TRUE(script);
    EXPECT_THAT(script->arguments,
                ElementsAre("--job-name=a\nb'c\"d|$(reboot) ", "--account=two words"));
    EXPECT_THAT(script->text, Not(HasSubstr("reboot")));
    EXPECT_THAT(script->text,
                HasSubstr("\nexec '/a b/mpitrain' run -- ./x '$(rm -rf /)' 'it'\\''s' '' '\n'\n"));
}

TEST(BatchScript, LetsTheUsersOwnOptionsComeLast) {
    JobSpec spec = training();
    spec.slurm["partition"] = "gpu";
    spec.sbatch_args = {"--time=1", "--comment=two words"};
    const BatchScript script = written(spec);
    EXPECT_LT(script.text.find("--partition=gpu"), script.text.find("--time=1"));
    EXPECT_LT(script.text.find("--signal="), script.text.find("--time=1"));
    EXPECT_THAT(script.arguments, Contains("--comment=two words"));
}

TEST(BatchScript, ReadsDependencies) {
    JobSpec spec = training();
    spec.after = {"41", "slurm:42", "any:slurm:43", "start:44"};
    const BatchScript script = written(spec);
    EXPECT_THAT(script.text,
                HasSubstr("#SBATCH --dependency=afterok:41,afterok:42,afterany:43,after:44\n"));
    EXPECT_THAT(script.arguments, IsEmpty());
    spec.after = {"41;reboot"};
    const auto refused = write_batch_script(
        {.spec = spec, .has_gpus = false, .program = "/mpitrain", .command = {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().where(), "--after");
}

TEST(BatchScript, TakesAWholeNodeForAllRanks) {
    JobSpec spec = training();
    spec.groups[0].ranks.reset();
    spec.ranks_per_node.reset();
    const std::string text = written(spec, true).text;
    EXPECT_THAT(text, HasSubstr("#SBATCH --nodes=1\n"));
    EXPECT_THAT(text, HasSubstr("#SBATCH --exclusive\n"));
    EXPECT_THAT(text, Not(HasSubstr("--ntasks")));
}

}  // namespace
}  // namespace mpitrain::slurm
