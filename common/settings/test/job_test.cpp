#include <gtest/gtest.h>

#include "mpitrain/settings/job_options.hpp"
#include "mpitrain/settings/layers.hpp"

namespace mpitrain::settings {
namespace {

OptionSet job_set() {
    OptionSet set;
    append(set, job_options());
    return set;
}

Setting setting(std::string_view name,
                std::vector<std::string> values,
                OriginKind kind,
                std::string where) {
    return {find(job_set(), name), std::move(values), {kind, std::move(where)}};
}

// What `mpitrain run WORDS` would make, below an environment and other layers.
Result<JobSpec> job_of(const std::vector<std::string>& words,
                       const EnvironmentMap& environment = {},
                       std::vector<Layer> below = {}) {
    MPITRAIN_TRY(const Scan line, scan(job_set(), words, Order::options_first));
    MPITRAIN_TRY(Layer variables, environment_layer(job_set(), job_set(), environment));
    below.push_back(std::move(variables));
    below.push_back(flags_layer(line.given));
    MPITRAIN_TRY(const CommandGroups commands, split_groups(line.rest));
    return make_job(merge(below), commands, {"/here", "/home/ada"});
}

JobSpec good_job_of(const std::vector<std::string>& words, const EnvironmentMap& environment = {}) {
    const auto job = job_of(words, environment);
    EXPECT_TRUE(job) << job.error().text();
    return job ? *job : JobSpec();
}

// A job that asks for nothing but to run x.
JobSpec plain_job() {
    JobSpec job;
    job.name = "x";
    job.groups = {{"default", std::nullopt, {"x"}, {}}};
    return job;
}

TEST(JobOptions, ReadTheShape) {
    JobSpec expected = plain_job();
    expected.groups[0].ranks = 4;
    expected.min_ranks = 2;
    expected.max_ranks = 8;
    expected.nodes = 1;
    expected.ranks_per_node = 4;
    expected.device = Device::gpu;
    expected.gpus_per_rank = 2;
    expected.gpu_type = "h100";
    expected.gpu_visibility = GpuVisibility::rank;
    expected.cpus_per_rank = 3;
    expected.mem_per_rank = Bytes(2ULL << 30U);
    expected.oversubscribe = true;
    expected.host = {"a:8", "b:8", "u@c"};
    expected.engine = EngineKind::mpirun;
    expected.placement = "spread";
    expected.topology_level = "switch:required";
    EXPECT_EQ(good_job_of({"-n",
                           "4",
                           "--min-ranks",
                           "2",
                           "--max-ranks=8",
                           "--nodes",
                           "1",
                           "--ranks-per-node",
                           "4",
                           "--device",
                           "cuda",
                           "--gpus-per-rank",
                           "2",
                           "--gpu-type",
                           "h100",
                           "--gpu-visibility",
                           "rank",
                           "--cpus-per-rank",
                           "3",
                           "--mem-per-rank",
                           "2G",
                           "--oversubscribe",
                           "--host",
                           "a:8,b:8",
                           "--host=u@c",
                           "--engine",
                           "mpirun",
                           "--placement",
                           "spread",
                           "--topology-level",
                           "switch:required",
                           "x"}),
              expected);
}

TEST(JobOptions, ReadTheLife) {
    JobSpec expected = plain_job();
    expected.max_restarts = 0;
    expected.checkpoint_dir = "/here/ck";
    expected.resume.kind = ResumePolicy::Kind::never;
    expected.time_limit = std::chrono::minutes(90);
    expected.stop_grace = std::chrono::seconds(5);
    expected.hang_timeout_mode = HangTimeoutMode::fixed;
    expected.hang_timeout = std::chrono::minutes(5);
    EXPECT_EQ(good_job_of({"--max-restarts",
                           "0",
                           "--checkpoint-dir",
                           "ck",
                           "--resume",
                           "never",
                           "--time-limit",
                           "90m",
                           "--stop-grace",
                           "5s",
                           "--hang-timeout",
                           "5m",
                           "x"}),
              expected);
    EXPECT_EQ(good_job_of({"--resume", "ck/step-3", "x"}).resume,
              (ResumePolicy{ResumePolicy::Kind::path, "/here/ck/step-3"}));
}

TEST(JobOptions, ReadInputAndOutput) {
    JobSpec expected = plain_job();
    expected.groups[0].command = {"x", "--lr", "1"};
    expected.log_dir = "/here/logs";
    expected.show = "0,8-15";
    expected.tag = false;
    expected.pty = true;
    expected.stdin_mode = StdinMode::rank0;
    expected.env = {{"A", "1"}, {"B", "x=y"}};
    expected.workdir = "/home/ada/w";
    expected.events_file = "/e";
    expected.result_file = "/here/r.json";
    EXPECT_EQ(good_job_of({"--log-dir", "./logs", "--show",   "0,8-15", "--no-tag", "--pty",
                           "--stdin",   "0",      "--env",    "A=1",    "--env",    "B=x=y",
                           "--workdir", "~/w",    "--events", "/e",     "--result", "r.json",
                           "x",         "--lr",   "1"}),
              expected);
}

TEST(JobOptions, ReadQueueAndEscapeHatches) {
    JobSpec expected = plain_job();
    expected.name = "big";
    expected.priority = -5;
    expected.queue = "q";
    expected.after = {"41", "42"};
    expected.mpirun_args = {"--mca"};
    expected.sbatch_args = {"-x"};
    EXPECT_EQ(good_job_of({"--name",
                           "big",
                           "--priority",
                           "-5",
                           "--queue",
                           "q",
                           "--after",
                           "41",
                           "--after",
                           "42",
                           "--mpirun-arg",
                           "--mca",
                           "--sbatch-arg",
                           "-x",
                           "x"}),
              expected);
}

TEST(JobOptions, LeaveDefaultsAloneWhenNothingIsSaid) {
    JobSpec expected;
    expected.name = "train";
    expected.groups = {{"default", std::nullopt, {"./bin/train"}, {}}};
    EXPECT_EQ(good_job_of({"./bin/train"}), expected);
    EXPECT_EQ(good_job_of({"-n", "all", "./bin/train"}), expected);
}

struct BadLine {
    std::vector<std::string> words;
    std::string error;
};

TEST(JobOptions, NameTheFlagAndTheMendOfABadValue) {
    for (
        const BadLine& bad : std::vector<BadLine>{
            {{"-n", "0", "x"},
             "-n: '0' is not a whole number from 1 to 1000000 (give a whole number, or all)"},
            {{"--ranks=-1", "x"},
             "--ranks: '-1' is not a whole number from 1 to 1000000 (give a whole number, or all)"},
            {{"-n", "4x", "x"},
             "-n: '4x' is not a whole number from 1 to 1000000 (give a whole number, or all)"},
            {{"--nodes", "", "x"}, "--nodes: '' is not a whole number from 1 to 1000000"},
            {{"--mem-per-rank", "lots", "x"},
             "--mem-per-rank: 'lots' is not a size (write sizes like 512MiB, 64G or 1.5T)"},
            {{"--host", "a:0", "x"},
             "--host: column 3: '0' is no number of slots (give a whole number of at least 1)"},
            {{"--topology-level", "rack", "x"},
             "--topology-level: 'rack' is no topology level (give node, switch or block, with "
             ":required or without)"},
            {{"--resume=", "x"}, "--resume: the value is empty (give auto, never or a path)"},
            {{"--time-limit", "0", "x"},
             "--time-limit: a job without any time cannot run (leave the option out for no limit)"},
            {{"--hang-timeout", "never", "x"},
             "--hang-timeout: 'never' is no time to wait (give off, auto or a duration like 5m)"},
            {{"--show", "a", "x"}, "--show: 'a' is no list of ranks (write it like 0,8-15)"},
            {{"--env", "A", "x"}, "--env: 'A' is no assignment (write NAME=VALUE)"},
            {{"--env", "=1", "x"}, "--env: '' is no assignment (write NAME=VALUE)"},
            {{"--engine", "mpiexec", "x"}, "--engine: 'mpiexec' is not one of auto, mpirun, srun"},
            {{"--placement", "pakc", "x"},
             "--placement: 'pakc' is not one of pack, spread (did you mean pack?)"},
            {{"-n", "4"},
             "no program given (write it after the options, or as 'command' in a job file)"},
            {{"--log-dir=", "x"}, "--log-dir: the value is empty (leave the option out)"},
        }) {
        const auto job = job_of(bad.words);
        ASSERT_FALSE(job) << bad.error;
        EXPECT_EQ(job.error().code(), ErrorCode::invalid_argument);
        EXPECT_EQ(job.error().text(), bad.error);
    }
}

TEST(JobLayers, FlagBeatsVariableBeatsJobFileBeatsConfigFile) {
    const Layer config = {setting("name", {"config"}, OriginKind::config_file, "c.yaml:1:1"),
                          setting("queue", {"config"}, OriginKind::config_file, "c.yaml:2:1"),
                          setting("gpu-type", {"config"}, OriginKind::config_file, "c.yaml:3:1"),
                          setting("placement", {"spread"}, OriginKind::config_file, "c.yaml:4:1")};
    const Layer file = {setting("name", {"file"}, OriginKind::job_file, "j.yaml:1:1"),
                        setting("queue", {"file"}, OriginKind::job_file, "j.yaml:2:1"),
                        setting("gpu-type", {"file"}, OriginKind::job_file, "j.yaml:3:1")};
    const auto job = job_of({"--name", "flag", "x"},
                            {{"MPITRAIN_OPT_NAME", "variable"}, {"MPITRAIN_OPT_QUEUE", "variable"}},
                            {config, file});
    ASSERT_TRUE(job);
    EXPECT_EQ(job->name, "flag");
    EXPECT_EQ(job->queue, "variable");
    EXPECT_EQ(job->gpu_type, "file");
    EXPECT_EQ(job->placement, "spread");
}

TEST(JobLayers, VariablesOfTheJobAddUpAndHostsReplace) {
    const Layer file = {setting("env", {"A=1", "B=1"}, OriginKind::job_file, "j:1:1"),
                        setting("host", {"a", "b"}, OriginKind::job_file, "j:2:1")};
    const auto job = job_of({"--env", "B=2", "--host", "c", "x"}, {}, {file});
    ASSERT_TRUE(job);
    EXPECT_EQ(job->env, (EnvironmentMap{{"A", "1"}, {"B", "2"}}));
    EXPECT_EQ(job->host, std::vector<std::string>{"c"});
}

TEST(JobLayers, KeepTheOriginOfEachSetting) {
    const Layer merged =
        merge({{setting("name", {"a"}, OriginKind::job_file, "j.yaml:1:1")},
               {setting("name", {"b"}, OriginKind::environment, "MPITRAIN_OPT_NAME")}});
    ASSERT_EQ(merged.size(), 1U);
    EXPECT_EQ(merged[0].values, std::vector<std::string>{"b"});
    EXPECT_EQ(merged[0].origin, (Origin{OriginKind::environment, "MPITRAIN_OPT_NAME"}));
}

TEST(JobLayers, ReadSwitchesFromVariablesAndIgnoreEmptyOnes) {
    EXPECT_TRUE(good_job_of({"x"}, {{"MPITRAIN_OPT_OVERSUBSCRIBE", "1"}}).oversubscribe);
    EXPECT_FALSE(good_job_of({"x"}, {{"MPITRAIN_OPT_OVERSUBSCRIBE", "no"}}).oversubscribe);
    EXPECT_FALSE(good_job_of({"x"}, {{"MPITRAIN_OPT_OVERSUBSCRIBE", ""}}).oversubscribe);
    EXPECT_EQ(job_of({"x"}, {{"MPITRAIN_OPT_OVERSUBSCRIBE", "maybe"}}).error().text(),
              "MPITRAIN_OPT_OVERSUBSCRIBE: 'maybe' is neither true nor false");
}

TEST(JobLayers, RefuseAVariableThatStandsForNoOption) {
    EXPECT_EQ(
        job_of({"x"}, {{"MPITRAIN_OPT_RANK", "4"}}).error().text(),
        "MPITRAIN_OPT_RANK: this variable stands for no option (did you mean MPITRAIN_OPT_RANKS?)");
    EXPECT_EQ(job_of({"x"}, {{"MPITRAIN_OPT_ENGINE", "x"}}).error().text(),
              "MPITRAIN_OPT_ENGINE: 'x' is not one of auto, mpirun, srun");
}

TEST(JobLayers, NamePlaceAndKeyOfABadValueInAFile) {
    const Layer file = {setting("cpus-per-rank", {"0"}, OriginKind::job_file, "j.yaml:3:16")};
    EXPECT_EQ(job_of({"x"}, {}, {file}).error().text(),
              "j.yaml:3:16: cpus_per_rank: '0' is not a whole number from 1 to 1000000");
}

TEST(Mpmd, SplitsAtColonsAsMpirunDoes) {
    const JobSpec job = good_job_of({"--env",
                                     "A=1",
                                     "-n",
                                     "1",
                                     "./server",
                                     "--port",
                                     "1",
                                     ":",
                                     "-np",
                                     "7",
                                     "--env",
                                     "A=2",
                                     "./worker",
                                     "-n"});
    EXPECT_EQ(job.name, "server");
    EXPECT_EQ(job.groups,
              (std::vector<CommandGroup>{{"default", 1, {"./server", "--port", "1"}, {}},
                                         {"default", 7, {"./worker", "-n"}, {{"A", "2"}}}}));
}

TEST(Mpmd, OneProgramMayTakeAllThatIsLeft) {
    EXPECT_EQ(good_job_of({"-n", "1", "a", ":", "b"}).groups[1].ranks, std::nullopt);
    EXPECT_EQ(good_job_of({"a", ":", "-n", "2", "b"}).groups[0].ranks, std::nullopt);
}

TEST(Mpmd, RefusesWhatCannotBeMeant) {
    for (const BadLine& bad : std::vector<BadLine>{
             {{"-n", "1", "a", ":"},
              "group 'default' has no program (every ':' stands between two programs)"},
             {{"a", ":", ":", "b"},
              "group 'default' has no program (every ':' stands between two programs)"},
             {{"a", ":", "b"},
              "--ranks: 2 of the programs take all ranks that are left (give all but one of them a "
              "number with -n)"},
             {{"a", ":", "--device", "cpu", "b"},
              "after ':': unknown option '--device' (only -n and --env may stand before a later "
              "program; the others go before the first)"},
             {{"a", ":", "-n", "0", "b"},
              "-n: '0' is not a whole number from 1 to 1000000 (give a whole number, or all)"},
         }) {
        const auto job = job_of(bad.words);
        ASSERT_FALSE(job) << bad.error;
        EXPECT_EQ(job.error().text(), bad.error);
    }
    EXPECT_EQ(job_of({"a", ":", "-n", "1", "b"}, {{"MPITRAIN_OPT_RANKS", "4"}}).error().text(),
              "MPITRAIN_OPT_RANKS: the job has several programs, each with ranks of its own (give "
              "each program its own -n)");
}

}  // namespace
}  // namespace mpitrain::settings
