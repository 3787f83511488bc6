#pragma once

#include "mpitrain/base/result.hpp"
#include "mpitrain/cli/command.hpp"
#include "mpitrain/slurm/batch_script.hpp"

namespace mpitrain::cli {

// --on, of submit and plan.
extern const settings::Option submit_options[1];

// What `mpitrain submit --on slurm` with these words hands in. Errors: those of reading the job and
// of write_batch_script; unavailable (no Slurm here).
Result<slurm::BatchScript> slurm_script(const Invocation& invocation);

}  // namespace mpitrain::cli
