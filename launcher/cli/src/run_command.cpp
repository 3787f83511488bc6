#include <unistd.h>

#include "commands.hpp"
#include "in_slurm.hpp"
#include "mpitrain/cli/beside_us.hpp"
#include "mpitrain/hosts/run.hpp"
#include "mpitrain/local/programs.hpp"
#include "mpitrain/local/run.hpp"
#include "mpitrain/posix/file_system.hpp"
#include "other_machines.hpp"
#include "read_job.hpp"

namespace mpitrain::cli {
namespace {

constexpr int exit_requeue = 75;  // stopped on request, with a checkpoint

// What a shell says of a program that it cannot start.
int exit_code_of_program(const Error& error) {
    switch (error.code()) {
        case ErrorCode::not_found:
            return 127;
        case ErrorCode::permission_denied:
            return 126;
        default:
            return exit_code(error);
    }
}

Talk talk_of(Format format) {
    switch (format) {
        case Format::json:
            return Talk::json;
        case Format::quiet:
            return Talk::quiet;
        case Format::table:
            break;
    }
    return Talk::people;
}

// Programs are looked for on each machine, by its agents.
Result<int> run_elsewhere(const Invocation& invocation, JobRequest job, FileSystem& files) {
    MPITRAIN_TRY(std::string agent, find_program_beside_us("mpitrain-rank"));
    MPITRAIN_TRY(auto programs, programs_elsewhere(job.spec));
    return hosts::run_on_hosts({.spec = std::move(job.spec),
                                .hosts = std::move(job.hosts),
                                .environment = invocation.environment,
                                .agent_path = std::move(agent),
                                .programs = std::move(programs),
                                .files = files,
                                .talk = talk_of(invocation.terminal.format()),
                                .color = invocation.terminal.shows_colour()});
}

Result<int> run_locally(const Invocation& invocation, JobRequest job, FileSystem& files) {
    MPITRAIN_TRY(std::string agent, find_program_beside_us("mpitrain-rank"));
    return local::run_here({.spec = std::move(job.spec),
                            .environment = invocation.environment,
                            .agent_path = std::move(agent),
                            .client_library = find_library_beside_us("libmpitrain_client.so"),
                            .files = files,
                            .talk = talk_of(invocation.terminal.format()),
                            .color = invocation.terminal.shows_colour()});
}

int run(Invocation& invocation) {
    Terminal& terminal = invocation.terminal;
    auto job = read_job(invocation);
    if (!job) {
        return fail(terminal, job.error());
    }
    const auto allocation = settle_in_slurm(job->spec, invocation.environment, job->notes);
    if (!allocation) {
        return fail(terminal, allocation.error());
    }
    for (const std::string& note : job->notes) {
        terminal.note(note);
    }
    const bool elsewhere = !job->hosts.empty();
    if (!elsewhere) {
        if (auto programs = local::check_programs(job->spec, invocation.environment); !programs) {
            terminal.fail(programs.error());
            return exit_code_of_program(programs.error());
        }
    }
    const auto files = posix::make_file_system();
    const int max_requeues = job->spec.max_requeues;
    const auto code = elsewhere ? run_elsewhere(invocation, *std::move(job), *files)
                                : run_locally(invocation, *std::move(job), *files);
    if (!code) {
        return fail(terminal, code.error());
    }
    if (*code == exit_requeue && *allocation) {
        terminal.note(requeue_in_slurm(**allocation, max_requeues));
    }
    return *code;
}

}  // namespace

constinit const Command run_job_command{
    .name = "run",
    .summary = "run a job now, in the foreground",
    .usage = "[options] [--] PROGRAM [ARG...] [: [-n N] PROGRAM [ARG...]]...",
    .description =
        "Runs PROGRAM as one rank per GPU, or per core on a machine without GPUs, each bound to "
        "its own cores, and stays "
        "with it: tags and files its output, starts it again from the last checkpoint after a "
        "failure, stops it in good "
        "order, and says at the end what happened.\n\nOptions end at the first word that is none. "
        "Each may also be given as "
        "MPITRAIN_OPT_<FLAG> in the environment, in a job file (--file), or in "
        "~/.config/mpitrain/config.yaml and "
        "/etc/mpitrain/config.yaml, in this order of precedence.\n\nExit code: 0 when all ranks "
        "succeeded; the failed rank's "
        "own code, or 128+n when signal n ended it; 75 stopped on request with a checkpoint; 2 "
        "usage; 3 cannot be met; 124 "
        "time limit; 125 mpitrain or its engine failed; 126 and 127 program not executable or not "
        "found.",
    .example =
        "mpitrain run -n 2 --checkpoint-dir ./checkpoints ./train --epochs 3\n"
        "mpitrain run -n 1 ./server : -n 7 ./worker\n"
        "mpitrain run --file job.yaml",
    .describes_job = true,
    .order = settings::Order::options_first,
    .run = run,
};

}  // namespace mpitrain::cli
