#pragma once

#include "mpitrain/base/result.hpp"
#include "mpitrain/hosts/plan_on_hosts.hpp"
#include "mpitrain/model/job_spec.hpp"

namespace mpitrain::cli {

// Where mpitrain's programs are on the machines of a job: below --remote-prefix, else where ours
// are. Errors: those of looking for ours.
Result<hosts::RemotePrograms> programs_elsewhere(const JobSpec& spec);

}  // namespace mpitrain::cli
