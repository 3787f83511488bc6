#pragma once

#include "mpitrain/cli/command.hpp"

namespace mpitrain::bench {

// `mpitrain bench checkpoint`.
extern const cli::Command checkpoint_command;

}  // namespace mpitrain::bench
