#include "mpitrain/jobfile/job_file.hpp"

#include <gtest/gtest.h>

#include "job_of_file.hpp"
#include "mpitrain/settings/job_options.hpp"

namespace mpitrain::jobfile {
namespace {

TEST(JobFile, ReadsOptionsUnderTheirFlagNames) {
    const auto job = job_of_file(R"(
name: char-lm
ranks: 8
command: [./char-lm, --epochs, 3, "007"]
device: cpu
cpus_per_rank: 2
mem_per_rank: 4G
oversubscribe: true
no_tag: yes
host: ["a:4", b]
time_limit: 1h30m
hang_timeout: off
checkpoint_dir: ./ck
stdin: none
env:
  NCCL_DEBUG: INFO
  EMPTY: ""
slurm:
  partition: gpu
  sbatch_args: [--exclusive]
kubernetes: {image: "registry/x:1", volumes: [{name: data}], gpu_resource: nvidia.com/gpu}
)");
    ASSERT_TRUE(job) << job.error().text();
    JobSpec expected;
    expected.name = "char-lm";
    expected.groups = {{"default", 8, {"./char-lm", "--epochs", "3", "007"}, {}}};
    expected.device = Device::cpu;
    expected.cpus_per_rank = 2;
    expected.mem_per_rank = Bytes(4ULL << 30U);
    expected.oversubscribe = true;
    expected.tag = false;
    expected.host = {"a:4", "b"};
    expected.time_limit = std::chrono::minutes(90);
    expected.checkpoint_dir = "/here/ck";
    expected.env = {{"NCCL_DEBUG", "INFO"}, {"EMPTY", ""}};
    expected.sbatch_args = {"--exclusive"};
    EXPECT_EQ(*job, expected);
}

TEST(JobFile, KeepsThePlatformBlocks) {
    const auto file = read_job_file(
        "command: [x]\nslurm: {partition: p, qos: 5}\nkubernetes: {image: i, namespace: \"7\", "
        "volumes: [{a: 1, b: true}]}\n",
        "f");
    ASSERT_TRUE(file);
    EXPECT_EQ(file->slurm, (std::map<std::string, std::string>{{"partition", "p"}, {"qos", "5"}}));
    EXPECT_EQ(file->kubernetes_json,
              R"({"image":"i","namespace":"7","volumes":[{"a":1,"b":true}]})");
}

TEST(JobFile, ReadsGroups) {
    const auto job = job_of_file(
        "groups:\n"
        "  - {name: server, ranks: 1, command: [./s]}\n"
        "  - {name: worker, ranks: all, command: [./w], env: {A: 1}}\n");
    ASSERT_TRUE(job) << job.error().text();
    EXPECT_EQ(job->groups,
              (std::vector<CommandGroup>{{"server", 1, {"./s"}, {}},
                                         {"worker", std::nullopt, {"./w"}, {{"A", "1"}}}}));
    EXPECT_EQ(job->name, "s");
}

struct BadFile {
    std::string text;
    std::string error;
};

TEST(JobFile, NamesLineColumnAndMendOfWhatItCannotRead) {
    for (const BadFile& bad : std::vector<BadFile>{
             {"", "job.yaml: the file is empty (write at least command: [program, argument, …])"},
             {"- a\n", "job.yaml:1:1: no key: value here (see 'mpitrain run --help' for the keys)"},
             {"command: [x]\nrnaks: 4\n",
              "job.yaml:2:1: unknown key 'rnaks' (did you mean ranks?)"},
             {"command: [x]\nranks-per-node: 4\n",
              "job.yaml:2:1: unknown key 'ranks-per-node' (did you mean ranks_per_node?)"},
             {"command: [x]\nfile: y\n",
              "job.yaml:2:1: unknown key 'file' (keys are the long options with _ for -)"},
             {"command: python t.py\n",
              "job.yaml:1:10: a command is a list, since no shell takes it apart (write [program, "
              "argument, …])"},
             {"command: []\n",
              "job.yaml:1:10: the command is empty (write [program, argument, …])"},
             {"command: [x]\nranks: 0\n",
              "job.yaml:2:8: ranks: '0' is not a whole number from 1 to 1000000 (give a whole "
              "number, or all)"},
             {"command: [x]\nranks: [1]\n",
              "job.yaml:2:8: one value belongs here (write key: value)"},
             {"command: [x]\nengine: slurm\n",
              "job.yaml:2:9: engine: 'slurm' is not one of auto, mpirun, srun"},
             {"command: [x]\ngroups: [{command: [y]}]\n",
              "job.yaml:1:10: 'command' beside 'groups' (put it into the groups)"},
             {"ranks: 2\ngroups: [{command: [y]}]\n",
              "job.yaml:1:8: 'ranks' beside 'groups' (put it into the groups)"},
             {"groups: []\n",
              "job.yaml:1:9: a list of groups belongs here (write - {name, ranks, command, env})"},
             {"groups: [{ranks: 1}]\n",
              "job.yaml:1:10: the group has no command (add command: [program, argument, …])"},
             {"groups: [{comand: [x]}]\n",
              "job.yaml:1:11: unknown key 'comand' (did you mean command?)"},
             {"groups: [{command: [x], ranks: -1}]\n",
              "job.yaml:1:32: ranks: '-1' is not a whole number from 1 to 1000000 (give a whole "
              "number, or all)"},
             {"slurm: {partiton: x}\n",
              "job.yaml:1:9: unknown key 'partiton' (did you mean partition?)"},
             {"kubernetes: [x]\n",
              "job.yaml:1:13: Kubernetes' settings belong here (write {image, namespace, …})"},
             {"command: [x]\nenv: {RANK: 1}\n",
              "--env: RANK is set by mpitrain for every rank (leave it out)"},
             {"command: [x]\nenv: [A]\n",
              "job.yaml:2:6: env: 'A' is no assignment (write NAME=VALUE)"},
             {"command: [x]\n---\ncommand: [y]\n",
              "job.yaml:3:1: a second document (one file describes one job)"},
             {"ranks: 4\n",
              "no program given (write it after the options, or as 'command' in a job file)"},
         }) {
        const auto job = job_of_file(bad.text);
        ASSERT_FALSE(job) << bad.error;
        EXPECT_EQ(job.error().text(), bad.error);
        EXPECT_EQ(job.error().code(), ErrorCode::invalid_argument);
    }
}

TEST(ConfigFile, TakesOptionsAndNothingElse) {
    settings::OptionSet known;
    settings::append(known, settings::job_options());
    const auto layer =
        read_config_file("mpirun_arg: [--mca, btl, self]\nstop_grace: 1m\n", "c.yaml", known);
    ASSERT_TRUE(layer);
    ASSERT_EQ(layer->size(), 2U);
    EXPECT_EQ((*layer)[0].values, (std::vector<std::string>{"--mca", "btl", "self"}));
    EXPECT_EQ((*layer)[1].origin,
              (settings::Origin{settings::OriginKind::config_file, "c.yaml:2:13"}));
    EXPECT_TRUE(read_config_file("", "c.yaml", known)->empty());
    EXPECT_EQ(read_config_file("command: [x]\n", "c.yaml", known).error().where(), "c.yaml:1:1");
}

}  // namespace
}  // namespace mpitrain::jobfile
