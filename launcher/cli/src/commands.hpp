#pragma once

#include "mpitrain/cli/command.hpp"

// The commands of mpitrain, one file each. A new one is declared here and listed in commands.cpp.
namespace mpitrain::cli {

extern const Command run_job_command;
extern const Command submit_command;
extern const Command job_command;
extern const Command plan_command;
extern const Command topo_command;
extern const Command ckpt_command;
extern const Command bench_command;
extern const Command sim_command;
extern const Command doctor_command;
extern const Command config_command;
extern const Command completion_command;

// All of them, in the order of help.
std::span<const Command> commands();

}  // namespace mpitrain::cli
