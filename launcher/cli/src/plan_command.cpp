#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>

#include "commands.hpp"
#include "mpitrain/cli/beside_us.hpp"
#include "mpitrain/engine/engine.hpp"
#include "mpitrain/hosts/plan_on_hosts.hpp"
#include "mpitrain/local/claim.hpp"
#include "mpitrain/plan/rank_environment.hpp"
#include "other_machines.hpp"
#include "read_job.hpp"
#include "submit_to.hpp"

namespace mpitrain::cli {
namespace {

// A plan, whatever machines it is for, and the engine's command line for it.
struct Planned {
    LaunchPlan plan;
    std::vector<std::string> command;
    std::vector<std::string> notes = {};
};

// With words in place of the paths that only an attempt has.
std::vector<std::string> engine_command(const LaunchPlan& plan,
                                        const JobSpec& spec,
                                        const EnvironmentMap& environment,
                                        const std::string& agent,
                                        const RemoteLaunch* remote) {
    const EngineInput input{
        .plan = plan,
        .agent_path = agent,
        .control_address = remote == nullptr ? "unix:RUNTIME/control" : "tcp:ADDRESS:PORT",
        .session_dir = "RUNTIME",
        .shared_memory_dir = "SHM",
        .as_root = geteuid() == 0,
        .extra_args = spec.mpirun_args,
        .environment = environment,
        .remote = remote};
    return make_mpirun_engine()->command(input).argv;
}

Result<Planned> plan_elsewhere(JobRequest& job, const EnvironmentMap& environment) {
    MPITRAIN_TRY(hosts::RemotePrograms programs, programs_elsewhere(job.spec));
    const std::string agent = programs.agent;
    MPITRAIN_TRY(hosts::HostsPlanner planner,
                 hosts::HostsPlanner::make(job.spec,
                                           std::move(job.hosts),
                                           rank_base_environment(environment),
                                           std::move(programs)));
    MPITRAIN_TRY(HostsPlan made, planner.plan());
    auto command = engine_command(made.plan, job.spec, environment, agent, &made.access.launch);
    return Planned{std::move(made.plan), std::move(command), std::move(made.notes)};
}

Result<Planned> plan_here(const JobSpec& spec, const EnvironmentMap& environment) {
    MPITRAIN_TRY(const SlotRegistry registry, SlotRegistry::open());
    MPITRAIN_TRY(local::LocalPlan made,
                 local::plan_here(spec, rank_base_environment(environment), registry));
    MPITRAIN_TRY(const std::string agent, find_program_beside_us("mpitrain-rank"));
    auto command = engine_command(made.plan, spec, environment, agent, nullptr);
    return Planned{std::move(made.plan), std::move(command)};
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
    return words.empty() ? "-" : fmt::format("{}", fmt::join(words, between));
}

std::string slots_text(const RankPlan& rank) {
    std::vector<int> slots;
    std::ranges::transform(rank.slots, std::back_inserter(slots), &SlotId::value);
    return fmt::format("{}", fmt::join(slots, ","));
}

std::string rank_table(const LaunchPlan& plan) {
    Table table({"RANK", "HOST", "LOCAL", "SLOTS", "GPUS", "CPUS", "NUMA", "NIC", "ROLE"});
    for (const RankPlan& rank : plan.ranks) {
        table.add({fmt::format("{}", rank.rank.value()),
                   rank.host,
                   fmt::format("{}", rank.local_rank.value()),
                   slots_text(rank),
                   joined(rank.gpus, ","),
                   rank.cpus.empty() ? "not pinned" : rank.cpus.to_string(),
                   rank.numa.empty() ? "-" : fmt::format("{}", fmt::join(rank.numa, ",")),
                   joined(rank.nics, ","),
                   plan.groups[static_cast<std::size_t>(rank.group)].name});
    }
    return table.text();
}

std::string shown(const std::string& name, const std::string& value) {
    return fmt::format("  {}={}\n", name, is_secret(name) ? "[redacted]" : value);
}

// Variables that all ranks share, once; then what is each rank's own.
std::string environment_text(const LaunchPlan& plan) {
    const auto is_common = [&plan](const auto& variable) {
        return std::ranges::all_of(plan.ranks, [&variable](const RankPlan& rank) {
            const auto found = rank.env.find(variable.first);
            return found != rank.env.end() && found->second == variable.second;
        });
    };
    std::string text = "Environment of every rank:\n";
    EnvironmentMap common;
    for (const auto& variable : plan.ranks.front().env) {
        if (is_common(variable)) {
            common.insert(variable);
            text += shown(variable.first, variable.second);
        }
    }
    for (const RankPlan& rank : plan.ranks) {
        text += fmt::format("Of rank {}:\n", rank.rank.value());
        for (const auto& [name, value] : rank.env) {
            text += common.contains(name) ? "" : shown(name, value);
        }
    }
    return text;
}

std::string text_of(const LaunchPlan& plan,
                    const std::vector<std::string>& command,
                    const Terminal& terminal) {
    std::string text = fmt::format(
        "{} {}\n\n{}\n", terminal.styled(Style::bold, "Plan"), plan.hash, rank_table(plan));
    for (const GroupPlan& group : plan.groups) {
        text += fmt::format("{} {} {}: {}\n",
                            group.ranks,
                            group.ranks == 1 ? "rank runs" : "ranks run",
                            group.name,
                            fmt::join(group.command, " "));
    }
    text += fmt::format("\n{}\n{}",
                        environment_text(plan),
                        plan.shares_cores ? "\nRanks share cores: MPI yields when idle.\n" : "");
    text += fmt::format("\nEngine:\n  {}\n\nNothing was started.\n", fmt::join(command, " "));
    return text;
}

// The script that submit would hand in, and what it would add to sbatch's command line.
int plan_submission(Invocation& invocation) {
    Terminal& terminal = invocation.terminal;
    const auto script = slurm_script(invocation);
    if (!script) {
        return fail(terminal, script.error());
    }
    terminal.print(script->text);
    for (const std::string& word : script->arguments) {
        terminal.note(
            fmt::format("beside the script, sbatch is given {}", slurm::shell_word(word)));
    }
    return 0;
}

int plan_job(Invocation& invocation) {
    Terminal& terminal = invocation.terminal;
    if (invocation.value("on") == "slurm") {
        return plan_submission(invocation);
    }
    auto job = read_job(invocation);
    if (!job) {
        return fail(terminal, job.error());
    }
    for (const std::string& note : job->notes) {
        terminal.note(note);
    }
    const auto planned = job->hosts.empty() ? plan_here(job->spec, invocation.environment)
                                            : plan_elsewhere(*job, invocation.environment);
    if (!planned) {
        return fail(terminal, planned.error());
    }
    for (const std::string& note : planned->notes) {
        terminal.note(note);
    }
    switch (terminal.format()) {
        case Format::json:
            terminal.print(to_json(planned->plan, planned->command) + "\n");
            break;
        case Format::quiet:
            terminal.print(planned->plan.hash + "\n");
            break;
        case Format::table:
            terminal.print(text_of(planned->plan, planned->command, terminal));
            break;
    }
    return 0;
}

}  // namespace

constinit const Command plan_command{
    .name = "plan",
    .summary = "show exactly what run would do; start nothing",
    .usage = "[options] [--] PROGRAM [ARG...] [: [-n N] PROGRAM [ARG...]]...",
    .description =
        "Prints what `mpitrain run` with the same words would start now: each rank's slots, GPUs, "
        "cores and environment, and "
        "the engine's command line. The same request on the same machines gives the same plan, "
        "told by its hash. With --on slurm it prints the batch script that `mpitrain submit` would "
        "hand in.",
    .example =
        "mpitrain plan -n 2 ./train --epochs 3\n"
        "mpitrain plan --output json -n all ./train",
    .options = submit_options,
    .describes_job = true,
    .order = settings::Order::options_first,
    .run = plan_job,
};

}  // namespace mpitrain::cli
