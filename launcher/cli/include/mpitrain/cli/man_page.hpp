#pragma once

#include <span>
#include <string>

#include "mpitrain/cli/command.hpp"

namespace mpitrain::cli {

// Man pages in roff, made from the tables of commands and options: mpitrain(1), and
// mpitrain-<command>(1).
std::string man_page(std::span<const Command> commands);
std::string man_page(const Command& command);

}  // namespace mpitrain::cli
