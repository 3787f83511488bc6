#pragma once

#include "mpitrain/cli/command.hpp"

namespace mpitrain::bench {

// `mpitrain bench launch`.
extern const cli::Command launch_command;

}  // namespace mpitrain::bench
