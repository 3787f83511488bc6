#include "mpitrain/cli/program.hpp"

#include "commands.hpp"

int main(int argc, char** argv) {
    return mpitrain::cli::run_program(argc, argv, [](auto words, const auto& environment) {
        return mpitrain::cli::run_command_line(mpitrain::cli::commands(), words, environment);
    });
}
