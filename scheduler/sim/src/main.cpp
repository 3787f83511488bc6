#include "mpitrain/cli/program.hpp"

#include "sim_command.hpp"

// mpitrain-sim [options]: what `mpitrain sim` becomes.
int main(int argc, char** argv) {
    return mpitrain::cli::run_program(argc, argv, [](auto words, const auto& environment) {
        return mpitrain::cli::run_command(mpitrain::sim::sim_command, words, environment);
    });
}
