#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "run_program.hpp"
#include "this_machine.hpp"

namespace mpitrain::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A directory of its own for each test, with a home and a lock directory in it.
class JobCommands : public testing::Test {
  protected:
    JobCommands() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "mpitrain-cli-XXXXXX").string();
        directory = mkdtemp(pattern.data());
    }
    void TearDown() override { std::filesystem::remove_all(directory); }

    std::string write(const std::string& name, const std::string& text) {
        const std::filesystem::path path = directory + "/" + name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
        return path.string();
    }

    Outcome run(const std::vector<std::string>& words, std::vector<std::string> environment = {}) {
        environment.push_back("HOME=" + directory);
        environment.push_back("MPITRAIN_LOCK_DIR=" + directory + "/locks");
        return run_mpitrain(words, environment);
    }

    // origin and where of one setting in `config show`.
    std::string origin(const std::string& name,
                       const std::vector<std::string>& words,
                       const std::vector<std::string>& environment) {
        std::vector<std::string> all = {"config", "show", "--output", "json"};
        all.insert(all.end(), words.begin(), words.end());
        const Outcome outcome = run(all, environment);
        EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
        const auto json = nlohmann::json::parse(outcome.out);
        for (const auto& setting : json["settings"]) {
            if (setting["name"] == name) {
                return setting["values"].dump() + " " + setting["origin"].get<std::string>() + " " +
                       setting["where"].dump();
            }
        }
        return "no such setting";
    }

    std::string directory;
};

struct BadInput {
    std::vector<std::string> words;
    std::string err;
};

TEST_F(JobCommands, BadInputIsOneLineWithTheMendAndExitCode2) {
    const std::string hostfile = write("hosts", "a slots=2\nb slots=x\n");
    const std::string broken = write("broken.yaml", "command: [x\nranks: 1\n");
    const std::string unknown = write("unknown.yaml", "command: [x]\nrnaks: 1\n");
    for (const std::string command : {"run", "plan"}) {
        for (const BadInput& bad : std::vector<BadInput>{
                 {{"--rank", "2", "true"}, "unknown option '--rank' (did you mean --ranks?)"},
                 {{"--oversubscribe=yes", "true"}, "--oversubscribe takes no value"},
                 {{"-n", "0", "true"},
                  "-n: '0' is not a whole number from 1 to 1000000 (give a whole number, or all)"},
                 {{"-n", "2"},
                  "no program given (write it after the options, or as 'command' in a job file)"},
                 {{"--hostfile", directory + "/none", "true"},
                  directory + "/none: cannot read: No such file or directory (check the path)"},
                 {{"--hostfile", directory, "true"}, directory + ": cannot read: Is a directory"},
                 {{"--hostfile", hostfile, "true"},
                  hostfile + ":2:9: 'x' is no number of slots (give a whole number of at least 1)"},
                 {{"--file", directory + "/none.yaml"},
                  directory +
                      "/none.yaml: cannot read: No such file or directory (check the path)"},
                 {{"--file", unknown}, unknown + ":2:1: unknown key 'rnaks' (did you mean ranks?)"},
                 {{"--host", "a:0", "true"},
                  "--host: column 3: '0' is no number of slots (give a whole number of at least "
                  "1)"},
                 {{"--device", "tpu", "true"},
                  "--device: 'tpu' is not one of auto, cuda, cpu (did you mean cpu?)"},
             }) {
            std::vector<std::string> words = {command};
            words.insert(words.end(), bad.words.begin(), bad.words.end());
            const Outcome outcome = run(words);
            EXPECT_EQ(outcome.exit_code, 2) << bad.err;
            EXPECT_EQ(outcome.err, "mpitrain: error: " + bad.err + "\n");
            EXPECT_EQ(outcome.out, "");
        }
        const Outcome outcome = run({command, "--file", broken});
        EXPECT_EQ(outcome.exit_code, 2);
        EXPECT_THAT(outcome.err, StartsWith("mpitrain: error: " + broken + ":2:"));
    }
}

TEST_F(JobCommands, WhatCanNeverBeMetIsExitCode3) {
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"plan", "-n", "100000", "true"},
             {"plan", "--host", "elsewhere.example.org:4", "true"},
             {"plan", "--host", "localhost:2", "-n", "3", "true"},
             {"plan", "--nodes", "2", "-n", "2", "true"},
             {"plan", "--on", "slurm", "--nodes", "2", "-n", "2", "true"},
             {"submit", "--on", "slurm", "--ranks-per-node", "2", "-n", "3", "true"},
             {"run", "-n", "100000", "true"},
         }) {
        const Outcome outcome = run(words);
        EXPECT_EQ(outcome.exit_code, 3) << words[1] << outcome.err;
        EXPECT_THAT(outcome.err, HasSubstr("("));
        EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    }
}

TEST_F(JobCommands, PlanOnSlurmIsTheScriptOfOneNode) {
    const Outcome plan = run({"plan", "--on", "slurm", "--device", "cpu", "-n", "2", "./x", "a b"});
    EXPECT_EQ(plan.exit_code, 0) << plan.err;
    EXPECT_THAT(plan.out, HasSubstr("\n#SBATCH --nodes=1\n#SBATCH --ntasks=2\n"));
    EXPECT_THAT(plan.out, HasSubstr("/mpitrain run --device cpu -n 2 -- ./x 'a b'\n"));
    const Outcome refused = run({"submit", "--on", "slurm", "--host", "a:2", "-n", "2", "true"});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.err, HasSubstr("Slurm chooses the machines"));
}

TEST_F(JobCommands, AMissingProgramIsExitCode127AndStartsNothing) {
    const Outcome missing = run({"run", "no-such-program-here"});
    EXPECT_EQ(missing.exit_code, 127) << missing.err;
    EXPECT_THAT(missing.err, HasSubstr("no-such-program-here"));
    const std::string file = write("plain.txt", "no program");
    EXPECT_EQ(run({"run", file}).exit_code, 126);
    EXPECT_FALSE(std::filesystem::exists(directory + "/.local"));
}

TEST_F(JobCommands, SettingsTellWhereTheyWereMade) {
    const std::string config =
        write(".config/mpitrain/config.yaml", "ranks: 1\nqueue: site\nstop_grace: 1m\n");
    const std::string job = write("job.yaml", "command: [x]\nranks: 2\nqueue: file\n");
    EXPECT_EQ(origin("ranks", {"--file", job, "-n", "4"}, {"MPITRAIN_OPT_RANKS=3"}),
              "[\"4\"] flag \"-n\"");
    EXPECT_EQ(origin("ranks", {"--file", job}, {"MPITRAIN_OPT_RANKS=3"}),
              "[\"3\"] environment \"MPITRAIN_OPT_RANKS\"");
    EXPECT_EQ(origin("queue", {"--file", job}, {}), "[\"file\"] job file \"" + job + ":3:8\"");
    EXPECT_EQ(origin("queue", {}, {}), "[\"site\"] config file \"" + config + ":2:8\"");
    EXPECT_EQ(origin("placement", {}, {}), "[\"pack\"] default null");
    EXPECT_EQ(origin("queue", {}, {"MPITRAIN_OPT_FILE=" + job}),
              "[\"file\"] job file \"" + job + ":3:8\"");
}

TEST_F(JobCommands, ABrokenConfigFileIsNamed) {
    const std::string config = write(".config/mpitrain/config.yaml", "rank: 1\n");
    const Outcome outcome = run({"plan", "true"});
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(outcome.err,
              "mpitrain: error: " + config + ":1:1: unknown key 'rank' (did you mean ranks?)\n");
    EXPECT_EQ(run({"plan", "--help"}).exit_code, 0);
}

TEST_F(JobCommands, OutputAndColourComeFromVariablesToo) {
    const Outcome json = run({"plan", "-n", "1", "true"}, {"MPITRAIN_OPT_OUTPUT=json"});
    EXPECT_EQ(nlohmann::json::parse(json.out)["schema"], "mpitrain.plan/1");
    EXPECT_EQ(run({"plan", "--output", "quiet", "-n", "1", "true"}, {"MPITRAIN_OPT_OUTPUT=json"})
                  .out.size(),
              17U);
    EXPECT_THAT(run({"plan", "-n", "1", "true"}, {"MPITRAIN_OPT_COLOR=always"}).out,
                HasSubstr("\x1b["));
    EXPECT_THAT(run({"plan", "-n", "1", "true"}, {}).out, testing::Not(HasSubstr("\x1b[")));
}

TEST_F(JobCommands, PlanIsTheSameForTheSameInputAndStartsNothing) {
    const std::string job = write(
        "job.yaml", "command: [touch, " + directory + "/ran]\nranks: 1\nenv: {MY_TOKEN: hush}\n");
    const Outcome once = run({"plan", "--output", "json", "--file", job});
    EXPECT_EQ(once.exit_code, 0) << once.err;
    EXPECT_EQ(once.out, run({"plan", "--output", "json", "--file", job}).out);
    EXPECT_EQ(once.out.find("hush"), std::string::npos);
    EXPECT_EQ(run({"plan", "--file", job}).out.find("hush"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(directory + "/ran"));
}

TEST_F(JobCommands, PlanTellsHowAManifestWasUnderstood) {
    const std::string manifest =
        write("mpijob.yaml",
              "apiVersion: kubeflow.org/v2beta1\nkind: MPIJob\nmetadata: {name: j}\nspec:\n"
              "  mpiReplicaSpecs:\n    Launcher:\n      template: {spec: {containers: [{image: i, "
              "command: [mpirun, -n, \"1\", /bin/true]}]}}\n");
    const Outcome outcome = run({"plan", "--file", manifest});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(
        outcome.err,
        HasSubstr(
            "mpitrain: the launcher's mpirun is replaced by mpitrain; the ranks run /bin/true\n"));
    EXPECT_EQ(run({"plan", "--output", "quiet", "--file", manifest}).err, "");
}

TEST_F(JobCommands, SayWhatHasNoEffectHere) {
    const Outcome outcome = run({"plan", "--queue", "big", "--min-ranks", "1", "-n", "1", "true"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err,
              "mpitrain: --min-ranks has no effect here: a job on one machine keeps its size\n"
              "mpitrain: --queue has no effect here: run does not queue\n");
    write(".config/mpitrain/config.yaml", "queue: site\n");
    EXPECT_EQ(run({"plan", "-n", "1", "true"}).err, "");
}

TEST_F(JobCommands, TakeTheVerbsTheyKnowAndNothingElse) {
    EXPECT_EQ(run({"config", "show"}).exit_code, 0);
    const Outcome outcome = run({"config"});
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("config what? (write mpitrain config show"));
    EXPECT_EQ(run({"config", "shwo"}).err,
              "mpitrain: error: config: 'shwo' is not one of show (did you mean show?)\n");
    EXPECT_EQ(run({"config", "show", "x"}).exit_code, 2);
    EXPECT_EQ(run({"doctor", "x"}).err,
              "mpitrain: error: doctor: 'x' is not expected (see mpitrain doctor --help)\n");
}

TEST_F(JobCommands, DoctorHasAMendForWhateverIsNotWell) {
    const Outcome outcome = run({"doctor", "--output", "json"});
    const auto json = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(json["schema"], "mpitrain.doctor/1");
    EXPECT_EQ(outcome.exit_code, json["healthy"] ? 0 : 1);
    for (const auto& check : json["checks"]) {
        EXPECT_TRUE(check["state"] == "ok" || check["check"] == "topology" ||
                    check["mend"].is_string())
            << check.dump();
    }
}

TEST_F(JobCommands, DoctorFindsAMissingEngine) {
    const Outcome outcome = run({"doctor"}, {"PATH=/nonexistent"});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.out, HasSubstr("apt-get install openmpi-bin"));
}

JobSpec job_on(std::vector<std::string> hosts, std::optional<int> ranks) {
    JobSpec spec;
    spec.groups = {{"default", ranks, {"x"}, {}}};
    spec.host = std::move(hosts);
    return spec;
}

TEST(ThisMachine, BoundsTheRanksByItsSlots) {
    JobSpec spec = job_on({"localhost:1", "127.0.0.1:3"}, std::nullopt);
    ASSERT_TRUE(settle_on_this_machine(spec, {}));
    EXPECT_EQ(spec.groups[0].ranks, 4);
    EXPECT_EQ(spec.host, std::vector<std::string>{"localhost:4"});
    spec = job_on({"localhost:2"}, 3);
    EXPECT_EQ(settle_on_this_machine(spec, {}).error().code(), ErrorCode::unsatisfiable);
    spec.oversubscribe = true;
    EXPECT_TRUE(settle_on_this_machine(spec, {}));
    spec = job_on({}, std::nullopt);
    spec.ranks_per_node = 2;
    ASSERT_TRUE(settle_on_this_machine(spec, {}));
    EXPECT_EQ(spec.groups[0].ranks, 2);
    spec.ranks_per_node = 1;
    EXPECT_EQ(settle_on_this_machine(spec, {}).error().text(),
              "--ranks-per-node: 2 ranks on this machine, at most 1 are allowed (allow more, or "
              "ask for fewer ranks)");
}

TEST(ThisMachine, TurnsItsHostfileIntoHosts) {
    JobSpec spec = job_on({}, std::nullopt);
    spec.hostfile = "/hosts";
    ASSERT_TRUE(settle_on_this_machine(spec, {{"localhost", "", std::nullopt, std::nullopt}}));
    EXPECT_EQ(spec.hostfile, "");
    EXPECT_EQ(spec.host, std::vector<std::string>{"localhost"});
    EXPECT_EQ(spec.groups[0].ranks, std::nullopt);
}

TEST(ThisMachine, LeavesJobsOfOtherMachinesAlone) {
    JobSpec spec = job_on({"localhost:2", "far.example.org:2"}, 4);
    const JobSpec before = spec;
    ASSERT_TRUE(settle_on_this_machine(spec, {}));
    EXPECT_EQ(spec, before);
}

}  // namespace
}  // namespace mpitrain::cli
