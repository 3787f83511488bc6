#include <unistd.h>

#include <cerrno>

#include "commands.hpp"
#include "mpitrain/cli/beside_us.hpp"

// ckpt and bench need HDF5 and MPI, which mpitrain itself must not load: they are programs of their
// own, and these commands become them.
namespace mpitrain::cli {
namespace {

int become(Invocation& invocation, std::string_view program) {
    auto path = find_program_beside_us(program);
    if (!path) {
        return fail(invocation.terminal, path.error());
    }
    std::vector<char*> arguments = {path->data()};
    for (std::string& word : invocation.words) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    execv(path->c_str(), arguments.data());
    return fail(invocation.terminal, system_error(errno, "start", *path));
}

int run_ckpt(Invocation& invocation) {
    return become(invocation, "mpitrain-ckpt");
}
int run_sim(Invocation& invocation) {
    return become(invocation, "mpitrain-sim");
}
int run_bench(Invocation& invocation) {
    if (!invocation.words.empty() && invocation.words[0] == "schedule") {
        invocation.words.erase(invocation.words.begin());
        return become(invocation, "mpitrain-bench-schedule");  // needs no MPI
    }
    return become(invocation, "mpitrain-bench");
}

}  // namespace

constinit const Command ckpt_command{
    .name = "ckpt",
    .summary = "list, show, verify, compare, prune, export and import checkpoints",
    .usage = "list|show|verify|diff|prune|export|import DIR",
    .description = "Looks at checkpoints on disk. 'mpitrain ckpt --help' tells more.",
    .example = "mpitrain ckpt verify ./checkpoints",
    .verbs = "list|show|verify|diff|prune|export|import",
    .passes_words = true,
    .run = run_ckpt,
};

constinit const Command sim_command{
    .name = "sim",
    .summary = "replay a workload against a cluster model",
    .usage = "--cluster FILE|NODESxGPUS --trace FILE [--policy NAME[,NAME...]] [options]",
    .description =
        "Runs recorded jobs through the scheduling core on a simulated clock. 'mpitrain sim "
        "--help' "
        "tells more.",
    .example = "mpitrain sim --cluster 72x8 --trace jobs.csv.gz --policy default,easy,fifo",
    .passes_words = true,
    .run = run_sim,
};

constinit const Command bench_command{
    .name = "bench",
    .summary = "measure this system: launch, allreduce, checkpoint, schedule",
    .usage =
        "launch|allreduce|reduce|broadcast|reduce_scatter|allgather|all_to_all|overlap|"
        "preflight|checkpoint|"
        "schedule [options]",
    .description = "Measures this machine and build. 'mpitrain bench --help' tells more.",
    .example = "mpitrain bench launch",
    .verbs =
        "launch|allreduce|reduce|broadcast|reduce_scatter|allgather|all_to_all|overlap|"
        "preflight|checkpoint|"
        "schedule",
    .passes_words = true,
    .run = run_bench,
};

}  // namespace mpitrain::cli
