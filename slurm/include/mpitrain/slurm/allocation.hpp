#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/model/job_spec.hpp"

namespace mpitrain::slurm {

// What Slurm has given the job that this process runs in, as its environment says (sbatch(1),
// OUTPUT ENVIRONMENT VARIABLES). Cores and GPUs are not part of it: what of this machine may be
// used is what the kernel and CUDA_VISIBLE_DEVICES allow, and topology reads that.
struct Allocation {
    std::string job;                 // "42"
    std::string partition;           // may be empty
    int restarts = 0;                // how often Slurm has requeued it
    std::vector<std::string> nodes;  // Slurm's names, rank 0's node first
    std::vector<int> tasks;          // by node: how many tasks fit what was asked for
    std::optional<int> ranks;        // what was asked for with --ntasks or --ntasks-per-node
    std::string this_node;  // Slurm's name of the machine that this process is on; may be empty
    bool batch = false;     // in the job's script, whose end is the job's end

    // The number of tasks on all nodes.
    [[nodiscard]] int slots() const;
};

// Reads it out of the environment; nullopt outside of Slurm. Errors: invalid_argument naming the
// variable (what Slurm sets cannot be read, or does not fit together, or mpitrain itself was
// started once a task by srun).
Result<std::optional<Allocation>> read_allocation(const EnvironmentMap& environment);

// "2(x3),1" is {2, 2, 2, 1}: Slurm's way to write a number for each node. At most `nodes_max`.
// Errors: invalid_argument.
Result<std::vector<int>> expand_counts(std::string_view text, std::size_t nodes_max = 1 << 16);

}  // namespace mpitrain::slurm
