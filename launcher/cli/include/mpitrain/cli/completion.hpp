#pragma once

#include <span>
#include <string>

#include "mpitrain/cli/command.hpp"

namespace mpitrain::cli {

// Scripts that complete mpitrain's command lines, made from the tables of commands and options.
std::string bash_completion(std::span<const Command> commands);
std::string zsh_completion(std::span<const Command> commands);
std::string fish_completion(std::span<const Command> commands);

}  // namespace mpitrain::cli
