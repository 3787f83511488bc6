#include <fmt/format.h>

#include "checkpoint_bench.hpp"
#include "collectives_bench.hpp"
#include "launch_bench.hpp"
#include "mpitrain/cli/program.hpp"

// mpitrain-bench VERB [options]: what `mpitrain bench` becomes.
namespace mpitrain::bench {
namespace {

constexpr std::string_view usage =
    "Usage: mpitrain bench launch|allreduce|checkpoint|schedule [options]\n\n"
    "Measures this machine and build.\n\n"
    "  launch      what mpitrain run adds to the time that bare mpirun takes\n"
    "  allreduce   a collective beside MPI's own; also reduce, broadcast, reduce_scatter,\n"
    "              allgather, all_to_all\n"
    "  overlap     how much of reducing gradients hides behind computation\n"
    "  preflight   whether every slot is sound: memory, all pairs, an allreduce; names slow ones\n"
    "  checkpoint  how close saving and loading come to plain files\n"
    "  schedule    decisions of the scheduling core, up to 100,000 GPUs\n\n"
    "Examples:\n  mpitrain bench launch\n  mpitrain bench allreduce -n 2 --end 64MiB\n\n"
    "'mpitrain bench launch --help' tells more, and so does each other one.\n";

Error unknown_verb(std::string_view verb) {
    if (verb.empty()) {
        return Error(ErrorCode::invalid_argument, "no benchmark named")
            .mend("try mpitrain bench launch");
    }
    return Error(ErrorCode::invalid_argument, fmt::format("unknown benchmark '{}'", verb))
        .mend("'mpitrain bench --help' lists them");
}

int run(std::span<const std::string> words, const EnvironmentMap& environment) {
    const std::string verb = words.empty() ? "" : words[0];
    if (verb == "launch") {
        return cli::run_command(launch_command, words.subspan(1), environment);
    }
    if (verb == "checkpoint") {
        return cli::run_command(checkpoint_command, words.subspan(1), environment);
    }
    cli::Terminal terminal(
        cli::Format::table, cli::Colour::automatic, environment.contains("NO_COLOR"));
    if (verb == "--help" || verb == "-h" || verb == "help") {
        terminal.print(usage);
        return terminal.close() ? 0 : 125;
    }
    if (is_collective(verb)) {
        return bench_collectives(words, terminal);
    }
    terminal.fail(unknown_verb(verb));
    return 2;
}

}  // namespace
}  // namespace mpitrain::bench

int main(int argc, char** argv) {
    return mpitrain::cli::run_program(argc, argv, mpitrain::bench::run);
}
