#include "launch_cases.hpp"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace mpitrain::bench {
namespace {

struct Chosen {
    const char* name;
    int ranks;
};

constexpr Chosen chosen[] = {
    {"true", 2},
    {"true", 8},
    {"hello", 2},
    {"hello", 8},
    {"hello", 32},
};

std::string read_text(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// `mpitrain run` or `mpitrain plan` of one case. Sharing cores is allowed, not asked for: ranks
// that fit get cores of their own.
std::vector<std::string> our_words(const LaunchTools& tools,
                                   const char* command,
                                   int ranks,
                                   const std::string& program) {
    return {tools.mpitrain,
            command,
            "-n",
            std::to_string(ranks),
            "--device",
            "cpu",
            "--oversubscribe",
            "--log-dir",
            tools.directory + "/jobs",
            program};
}

}  // namespace

EngineCommand bare_command(const std::vector<std::string>& program,
                           int ranks,
                           bool shares_cores,
                           const LaunchTools& tools,
                           const EnvironmentMap& environment) {
    LaunchPlan plan;
    plan.shares_cores = shares_cores;
    plan.groups.push_back({.name = "default", .ranks = ranks, .command = program, .env = {}});
    plan.ranks.resize(static_cast<std::size_t>(ranks));
    const std::string& agent = program.front();
    EngineCommand command =
        make_mpirun_engine()->command({.plan = plan,
                                       .agent_path = agent,
                                       .control_address = "",
                                       .session_dir = tools.directory,
                                       .shared_memory_dir = tools.shared_memory_dir,
                                       .as_root = tools.as_root,
                                       .extra_args = {},
                                       .environment = environment});
    command.argv.erase(std::ranges::find(command.argv, agent), command.argv.end());
    command.argv.insert(command.argv.end(), program.begin(), program.end());
    return command;
}

Result<bool> read_shares_cores(const std::string& plan_json) {
    const auto json = nlohmann::json::parse(plan_json, nullptr, false);
    if (!json.is_object() || !json.contains("shares_cores") || !json["shares_cores"].is_boolean()) {
        return Error(ErrorCode::data_loss, "the answer of 'mpitrain plan' is not a plan")
            .mend("install mpitrain and mpitrain-bench of the same version");
    }
    return json["shares_cores"].get<bool>();
}

Result<std::vector<LaunchCase>> make_launch_cases(const LaunchTools& tools,
                                                  const EnvironmentMap& environment) {
    std::vector<LaunchCase> cases;
    for (const Chosen& one : chosen) {
        const std::string program = std::string(one.name) == "true" ? "/bin/true" : tools.hello;
        TimedCommand ask{.argv = our_words(tools, "plan", one.ranks, program),
                         .environment = environment,
                         .out_path = tools.directory + "/plan.json",
                         .err_path = tools.directory + "/stderr"};
        ask.argv.insert(ask.argv.begin() + 2, {"--output", "json"});
        MPITRAIN_TRY([[maybe_unused]] const double asked_ms, run_timed(ask));
        MPITRAIN_TRY(const bool shares_cores, read_shares_cores(read_text(ask.out_path)));

        const EngineCommand bare =
            bare_command({program}, one.ranks, shares_cores, tools, environment);
        EnvironmentMap bare_environment = environment;
        for (const auto& [name, value] : bare.env) {
            bare_environment[name] = value;
        }
        cases.push_back({.name = one.name,
                         .ranks = one.ranks,
                         .shares_cores = shares_cores,
                         .bare = {.argv = bare.argv,
                                  .environment = std::move(bare_environment),
                                  .out_path = "/dev/null",
                                  .err_path = tools.directory + "/stderr"},
                         .ours = {.argv = our_words(tools, "run", one.ranks, program),
                                  .environment = environment,
                                  .out_path = "/dev/null",
                                  .err_path = tools.directory + "/stderr"}});
    }
    return cases;
}

}  // namespace mpitrain::bench
