#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "commands.hpp"
#include "mpitrain/cli/beside_us.hpp"
#include "mpitrain/slurm/batch_script.hpp"
#include "read_job.hpp"
#include "slurm_client.hpp"
#include "submit_to.hpp"

namespace mpitrain::cli {
namespace {

// Options that Slurm is told of, or that are about the command which submits: the run inside of the
// allocation has no use for them.
constexpr std::array<std::string_view, 12> only_of_submit = {"on",
                                                             "output",
                                                             "color",
                                                             "after",
                                                             "priority",
                                                             "queue",
                                                             "sbatch-arg",
                                                             "nodes",
                                                             "ranks-per-node",
                                                             "mem-per-rank",
                                                             "host",
                                                             "hostfile"};

// The words of `mpitrain run` that carry the job out, as the user wrote them.
std::vector<std::string> run_words(const Invocation& invocation) {
    std::vector<std::string> words;
    for (const settings::Given& given : invocation.line.given) {
        if (std::ranges::find(only_of_submit, given.option->name) != only_of_submit.end()) {
            continue;
        }
        words.push_back(given.spelled);
        if (!given.option->value.empty()) {
            words.push_back(given.value);
        }
    }
    if (!invocation.line.rest.empty()) {
        words.emplace_back("--");
        words.insert(words.end(), invocation.line.rest.begin(), invocation.line.rest.end());
    }
    return words;
}

// This version runs on one node of a cluster: better said now than after the job has waited.
Result<void> keep_to_one_node(JobSpec& spec) {
    if (!spec.host.empty() || !spec.hostfile.empty()) {
        return Error(ErrorCode::invalid_argument, "Slurm chooses the machines")
            .at(spec.host.empty() ? "--hostfile" : "--host")
            .mend("leave it out, or give --sbatch-arg=--nodelist=NAME");
    }
    const int ranks = total_ranks(spec).value_or(1);
    if (spec.nodes.value_or(1) > 1 || ranks > spec.ranks_per_node.value_or(ranks)) {
        return Error(ErrorCode::unsatisfiable, "inside of Slurm this version runs on one node")
            .at(spec.nodes.value_or(1) > 1 ? "--nodes" : "--ranks-per-node")
            .mend("ask for as many ranks as a node has room for");
    }
    spec.nodes = 1;
    return {};
}

int submit(Invocation& invocation) {
    Terminal& terminal = invocation.terminal;
    if (const std::string where = invocation.value("on"); where != "slurm") {
        return fail(
            terminal,
            Error(ErrorCode::unsupported, fmt::format("this version cannot queue on '{}'", where))
                .at("--on")
                .mend("give --on slurm, or run the job now with mpitrain run"));
    }
    const auto script = slurm_script(invocation);
    if (!script) {
        return fail(terminal, script.error());
    }
    const auto id = submit_to_slurm(*script);
    if (!id) {
        return fail(terminal, id.error());
    }
    terminal.print(
        terminal.format() == Format::json
            ? fmt::format("{{\"schema\": \"mpitrain.submitted/1\", \"id\": \"slurm:{}\"}}\n", *id)
            : fmt::format("slurm:{}\n", *id));
    return 0;
}

}  // namespace

Result<slurm::BatchScript> slurm_script(const Invocation& invocation) {
    MPITRAIN_TRY(JobRequest job, read_job_to_submit(invocation));
    MPITRAIN_TRY_VOID(keep_to_one_node(job.spec));
    MPITRAIN_TRY(const std::string program, find_program_beside_us("mpitrain"));
    const bool asks = job.spec.device == Device::automatic && job.spec.gpu_type.empty();
    bool has_gpus = false;
    if (asks) {
        MPITRAIN_TRY(has_gpus, slurm_has_gpus(job.spec.queue));
    }
    return slurm::write_batch_script({.spec = job.spec,
                                      .has_gpus = has_gpus,
                                      .program = program,
                                      .command = run_words(invocation)});
}

constinit const settings::Option submit_options[1] = {
    {.name = "on",
     .value = "WHERE",
     .summary = "whose queue it goes to: slurm",
     .fallback = "local",
     .choices = "local|slurm|k8s"},
};

constinit const Command submit_command{
    .name = "submit",
    .summary = "queue a job",
    .usage = "--on slurm [options] [--] PROGRAM [ARG...] [: [-n N] PROGRAM [ARG...]]...",
    .description =
        "Hands a job to Slurm, as a batch script that runs `mpitrain run` with the same words. "
        "Prints its id "
        "alone, slurm:N, for `mpitrain job`.\n\nSlurm is asked for what the options say: -n, "
        "--nodes, --ranks-per-node, --cpus-per-rank, --mem-per-rank, GPUs where the partition has "
        "any, --queue (its partition), --after (ok:N, any:N or start:N; N alone is ok:N), "
        "--time-limit; and whatever --sbatch-arg "
        "adds.\n\nA time limit, a preemption or scancel stops the job in good order: it commits a "
        "checkpoint and goes back into the queue, where it resumes, at most --max-requeues times. "
        "`mpitrain plan --on slurm` shows the script and submits nothing.",
    .example =
        "mpitrain submit --on slurm -n 4 --ranks-per-node 4 --checkpoint-dir ./checkpoints "
        "./train\n"
        "mpitrain submit --on slurm --queue gpu --sbatch-arg=--time=60 -n 8 python train.py",
    .options = submit_options,
    .describes_job = true,
    .order = settings::Order::options_first,
    .run = submit,
};

}  // namespace mpitrain::cli
