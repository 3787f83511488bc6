#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "job_of_file.hpp"
#include "quantity.hpp"

namespace mpitrain::jobfile {
namespace {

using testing::Contains;
using testing::HasSubstr;

// An MPIJob of two workers whose launcher runs `command`, with more fields in `policy` and the
// workers' `limits`.
std::string manifest(
    const std::string& command,
    const std::string& limits = "{nvidia.com/gpu: 2, cpu: 8, memory: 16Gi}",
    const std::string& policy =
        "{activeDeadlineSeconds: 3600, backoffLimit: 2, cleanPodPolicy: Running}") {
    return R"(apiVersion: kubeflow.org/v2beta1
kind: MPIJob
metadata: {name: train-lm, namespace: ml}
spec:
  slotsPerWorker: 2
  runPolicy: )" +
           policy + R"(
  mpiReplicaSpecs:
    Launcher:
      replicas: 1
      template:
        spec:
          terminationGracePeriodSeconds: 60
          containers:
          - name: launcher
            image: registry.example.org/lm:1
            command: )" +
           command + R"(
            env:
            - {name: NCCL_DEBUG, value: INFO}
            - {name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}
    Worker:
      replicas: 2
      restartPolicy: Never
      template:
        spec:
          containers:
          - image: registry.example.org/lm:1
            env: [{name: DATA, value: /data}]
            resources: {limits: )" +
           limits + R"(}
)";
}

TEST(MpiJob, BecomesAJobForThisMachine) {
    const auto job =
        job_of_file(manifest("[mpirun, --allow-run-as-root, --bind-to, none, -x, LR=0.1, -mca, "
                             "btl, self, python, t.py, -n, \"1\"]"));
    ASSERT_TRUE(job) << job.error().text();
    JobSpec expected;
    expected.name = "train-lm";
    expected.groups = {{"default", 4, {"python", "t.py", "-n", "1"}, {{"LR", "0.1"}}}};
    expected.env = {{"DATA", "/data"}, {"NCCL_DEBUG", "INFO"}};
    expected.device = Device::gpu;
    expected.gpus_per_rank = 1;
    expected.cpus_per_rank = 4;
    expected.mem_per_rank = Bytes(8ULL << 30U);
    expected.time_limit = std::chrono::hours(1);
    expected.max_restarts = 2;
    expected.stop_grace = std::chrono::minutes(1);
    expected.mpirun_args = {"-mca", "btl", "self"};
    EXPECT_EQ(*job, expected);
}

TEST(MpiJob, TellsHowItWasUnderstoodAndWhatHasNoMeaning) {
    const auto file =
        read_job_file(manifest("[mpirun, -n, \"3\", --map-by, slot, ./a]"), "job.yaml");
    ASSERT_TRUE(file) << file.error().text();
    EXPECT_THAT(file->notes,
                Contains("the launcher's mpirun is replaced by mpitrain; the ranks run ./a"));
    EXPECT_THAT(file->notes, Contains("mpitrain does by itself what --map-by asks of mpirun"));
    EXPECT_THAT(file->notes, Contains("2 workers of 2 slots, together 4 ranks"));
    for (const char* path : {"metadata.namespace",
                             "spec.runPolicy.cleanPodPolicy",
                             "spec.mpiReplicaSpecs.Launcher.template.spec.containers[0].image",
                             "spec.mpiReplicaSpecs.Launcher.template.spec.containers[0].env.TOKEN",
                             "spec.mpiReplicaSpecs.Worker.restartPolicy"}) {
        EXPECT_THAT(file->notes.back(), HasSubstr(path));
    }
    EXPECT_EQ(file->groups[0].ranks, 3);
}

TEST(MpiJob, WithoutGpusRunsOnCores) {
    const auto job = job_of_file(manifest("[mpirun, ./a]", "{cpu: 500m}", "{}"));
    ASSERT_TRUE(job) << job.error().text();
    EXPECT_EQ(job->device, Device::cpu);
    EXPECT_EQ(job->cpus_per_rank, 0);
    EXPECT_EQ(job->groups[0].ranks, 4);
    EXPECT_EQ(job->max_restarts, std::nullopt);
}

TEST(MpiJob, ACommandWithoutMpirunIsWhatEveryRankRuns) {
    const auto file = read_job_file(manifest("[python, -m, train]"), "job.yaml");
    ASSERT_TRUE(file);
    EXPECT_EQ(file->groups[0].command, (std::vector<std::string>{"python", "-m", "train"}));
    EXPECT_THAT(file->notes,
                Contains("the launcher's command starts no mpirun; every rank runs python"));
}

TEST(MpiJob, UnderstandsAPlainShellLineAndMpmd) {
    const auto job =
        job_of_file(manifest("[bash, -c, 'mpirun -n 1 ./server : -n 3 ./worker --x']"));
    ASSERT_TRUE(job) << job.error().text();
    EXPECT_EQ(job->groups,
              (std::vector<CommandGroup>{{"default", 1, {"./server"}, {}},
                                         {"default", 3, {"./worker", "--x"}, {}}}));
}

TEST(MpiJob, LeavesOtherDocumentsOfTheFileOut) {
    const auto file =
        read_job_file("kind: ConfigMap\n---\n" + manifest("[mpirun, ./a]"), "job.yaml");
    ASSERT_TRUE(file);
    EXPECT_THAT(file->notes, Contains("other documents of the file are left out: ConfigMap"));
}

struct BadManifest {
    std::string text;
    std::string error;
};

TEST(MpiJob, NamesThePlaceAndTheMendOfWhatItCannotRead) {
    const std::string head = "apiVersion: kubeflow.org/v2beta1\nkind: MPIJob\n";
    for (
        const BadManifest& bad : std::vector<BadManifest>{
            {"kind: Job\n",
             "job.yaml:1:1: kind 'Job' is no job that can be run (give an MPIJob, or a job file of "
             "mpitrain)"},
            {"apiVersion: kubeflow.org/v1\nkind: MPIJob\n",
             "job.yaml:1:1: apiVersion 'kubeflow.org/v1' is not read (write kubeflow.org/v2beta1)"},
            {head, "job.yaml:1:1: spec.mpiReplicaSpecs.Launcher is missing (every MPIJob has one)"},
            {head + "spec: 4\n", "job.yaml:3:7: 'spec' holds no fields (see the MPIJob reference)"},
            {head + "spec: {slotsPerWorker: -1}\n",
             "job.yaml:3:24: '-1' is not a whole number from 1 to 1000000000"},
            {head + "spec: {mpiReplicaSpecs: {Launcher: {}}}\n",
             "job.yaml:3:36: no pod template (add template: {spec: {containers: [..]}})"},
            {manifest("[mpirun, --frob, ./a]"),
             "job.yaml:14:13: mpirun's option --frob is not understood here (leave it out, or "
             "write a job file with the program alone)"},
            {manifest("[mpirun, -n]"), "job.yaml:14:13: mpirun's option -n needs a value"},
            {manifest("[mpirun]"), "job.yaml:14:13: mpirun is given no program"},
            {manifest("[mpirun, -n, \"9\", a, \":\", b]"),
             "job.yaml:14:13: no rank of 4 is left for b (give the other programs fewer)"},
            {manifest("[sh, -c, 'mpirun -n 4 ./a && echo done']"),
             "job.yaml:14:13: the launcher starts mpirun from a shell script, which cannot be "
             "taken apart (give mpirun and its words as command: [mpirun, …])"},
            {manifest("[]"),
             "job.yaml:14:13: the launcher has no command (add command: [program, …]; an image's "
             "own cannot be known here)"},
            {manifest("[a]", "{nvidia.com/gpu: 3}"),
             "job.yaml:26:13: 3 GPUs for 2 slots (give each slot of a worker the same number of "
             "GPUs)"},
            {manifest("[a]", "{cpu: lots}"),
             "job.yaml:28:39: 'lots' is not a quantity (write it like 2, 500m or 16Gi)"},
        }) {
        const auto job = job_of_file(bad.text);
        ASSERT_FALSE(job) << bad.error;
        EXPECT_EQ(job.error().text(), bad.error);
    }
}

TEST(Quantity, ReadsKubernetesSuffixes) {
    EXPECT_DOUBLE_EQ(*parse_quantity("500m"), 0.5);
    EXPECT_DOUBLE_EQ(*parse_quantity("16Gi"), 0x1p34);
    EXPECT_DOUBLE_EQ(*parse_quantity("2k"), 2000);
    EXPECT_DOUBLE_EQ(*parse_quantity("1e3"), 1000);
    EXPECT_DOUBLE_EQ(*parse_quantity("1.5"), 1.5);
    for (const char* bad : {"", "m", "-1", "1GB", "1 Gi", "9e30", "nan"}) {
        EXPECT_FALSE(parse_quantity(bad)) << bad;
    }
}

}  // namespace
}  // namespace mpitrain::jobfile
