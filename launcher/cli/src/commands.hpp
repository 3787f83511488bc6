#pragma once

#include "mpitrain/cli/command.hpp"

// The commands, one file each. A new one is declared here and listed in commands.cpp.
namespace mpitrain::cli {

extern const Command ckpt_command;
extern const Command bench_command;

}  // namespace mpitrain::cli
