#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/slurm/batch_script.hpp"
#include "mpitrain/slurm/job_record.hpp"

// Slurm's own commands, each run with a deadline of 60 s. Errors of all: unavailable (Slurm's
// commands are not here, or its controller does not answer), with the mend; io (the command
// refused, with its own words).
namespace mpitrain::cli {

// Hands the script in, for this user and directory. Gives the job's number.
Result<std::uint32_t> submit_to_slurm(const slurm::BatchScript& script);

// The jobs that Slurm still knows: waiting, running, and ended a few minutes ago at most; of one
// user, or of all where that is empty.
Result<std::vector<slurm::JobRecord>> slurm_jobs(const std::string& user);
// One of them. Errors: also not_found.
Result<slurm::JobRecord> slurm_job(std::uint32_t id);

// One of scontrol's words for a job: hold, release, requeue.
Result<void> control_slurm_job(std::string_view word, std::uint32_t id);
Result<void> cancel_slurm_job(std::uint32_t id);

// Whether nodes of the partition (empty: of any) have GPUs that Slurm hands out.
Result<bool> slurm_has_gpus(const std::string& partition);

// How long slurmd waits between TERM and KILL.
Result<Nanoseconds> slurm_kill_wait();

}  // namespace mpitrain::cli
