#pragma once

#include <span>
#include <string>

#include "mpitrain/cli/command.hpp"

namespace mpitrain::bench {

// The verbs of mpitrain-bench-collectives.
bool is_collective(std::string_view verb);

// What becomes of `mpitrain bench VERB words…`: mpitrain run with the options that say which ranks,
// and then the program of ranks with the rest.
std::vector<std::string> collectives_command(std::string_view mpitrain,
                                             std::string_view program,
                                             std::span<const std::string> words);

// Becomes that command; returns only where it cannot, with the exit code.
int bench_collectives(std::span<const std::string> words, cli::Terminal& terminal);

}  // namespace mpitrain::bench
