#pragma once

#include "mpitrain/cli/command.hpp"

namespace mpitrain::bench {

extern constinit const cli::Command schedule_command;

}  // namespace mpitrain::bench
