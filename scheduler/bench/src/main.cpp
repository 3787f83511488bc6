#include "mpitrain/cli/program.hpp"

#include "schedule_command.hpp"

// mpitrain-bench-schedule [options]: what `mpitrain bench schedule` becomes.
int main(int argc, char** argv) {
    return mpitrain::cli::run_program(argc, argv, [](auto words, const auto& environment) {
        return mpitrain::cli::run_command(mpitrain::bench::schedule_command, words, environment);
    });
}
