#pragma once

#include "mpitrain/cli/command.hpp"

namespace mpitrain::sim {

extern constinit const cli::Command sim_command;

}  // namespace mpitrain::sim
