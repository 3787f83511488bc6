#pragma once

#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/model/job_spec.hpp"

namespace mpitrain::slurm {

struct ScriptInput {
    const JobSpec& spec;               // valid
    bool has_gpus = false;             // the partition's nodes have GPUs that Slurm hands out
    std::string program;               // mpitrain, absolute
    std::vector<std::string> command;  // the words of `mpitrain run` that carry the job out
};

// A job as Slurm takes it: a script for people to read and keep, and what no comment line can hold.
struct BatchScript {
    std::string text;
    // Options whose values a "#SBATCH" line cannot hold unchanged (blanks, quotes, line breaks):
    // whole words for sbatch's command line, never through a shell.
    std::vector<std::string> arguments;
};

// Writes the script: resources from the job's shape, the signal before the time limit from
// --stop-grace, logs that a requeued job appends to, and `exec mpitrain run …` as its only command,
// so that Slurm's signals reach mpitrain itself. The job file's slurm block and --sbatch-arg come
// last, as sbatch lets the last one win. Errors: invalid_argument naming the option.
Result<BatchScript> write_batch_script(const ScriptInput& input);

// One word for a POSIX shell: as it is where that is safe, else in single quotes.
std::string shell_word(std::string_view word);

}  // namespace mpitrain::slurm
