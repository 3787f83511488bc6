#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/slurm/allocation.hpp"

// `mpitrain run` inside of a Slurm job.
namespace mpitrain::cli {

// Lets the job be what Slurm has given: the ranks that were asked of it, where the command line
// says nothing else, and a grace that ends before slurmd's patience does. What it changes for the
// user to know is added to `notes`. Errors: unsatisfiable (more ranks or machines than Slurm gave);
// invalid_argument (Slurm's variables cannot be read).
Result<std::optional<slurm::Allocation>> settle_in_slurm(JobSpec& spec,
                                                         const EnvironmentMap& environment,
                                                         std::vector<std::string>& notes);

// After a stop with a checkpoint: puts the job back into Slurm's queue, unless Slurm itself is
// ending it (a cancelled job stays cancelled, a preempted one is Slurm's to requeue), or it has
// been there max_requeues times. Gives one line that says what happened.
std::string requeue_in_slurm(const slurm::Allocation& allocation, int max_requeues);

}  // namespace mpitrain::cli
