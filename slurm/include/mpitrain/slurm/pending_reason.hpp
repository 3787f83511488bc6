#pragma once

#include <string>
#include <string_view>

namespace mpitrain::slurm {

// Why a job waits, in words, and what its owner can do about it.
struct PendingReason {
    std::string_view meaning;
    std::string_view mend;  // may be empty: nothing but waiting
};

// Translates Slurm's reason ("Resources", "QOSMaxJobsPerUserLimit" …; squeue(1), JOB REASON CODES).
// An unknown one is said to be that.
PendingReason explain_pending(std::string_view reason);

}  // namespace mpitrain::slurm
