#pragma once

#include "mpitrain/base/result.hpp"
#include "mpitrain/model/job_spec.hpp"

namespace mpitrain::local {

// Looks for every group's program as a rank will: with a '/' from the working directory, else along
// PATH. Errors: not_found (exit code 127), permission_denied (exit code 126: there, but not
// executable), each naming the program and the mend.
Result<void> check_programs(const JobSpec& spec, const EnvironmentMap& environment);

}  // namespace mpitrain::local
