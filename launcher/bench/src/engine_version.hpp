#pragma once

#include <string>

#include "launch_cases.hpp"
#include "mpitrain/base/result.hpp"

namespace mpitrain::bench {

// The first line of what mpirun says of itself. Errors: those of run_timed.
Result<std::string> engine_version(const LaunchTools& tools, const EnvironmentMap& environment);

}  // namespace mpitrain::bench
