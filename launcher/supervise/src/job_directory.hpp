#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "attempt.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/model/job_spec.hpp"

namespace mpitrain {

// Where a job keeps what outlives it: <base>/<id>/{events.jsonl,result.json,attempt-<k>/}.
struct JobDirectory {
    std::string id;
    std::string path;
};

// Makes the directory of a new job under --log-dir, else
// $XDG_STATE_HOME/mpitrain/<machine-id>/jobs. Ids count up and are never reused while the directory
// exists; two jobs starting at once get two ids. Errors: those of mkdir(2), with the mend.
Result<JobDirectory> make_job_directory(const JobSpec& spec, const EnvironmentMap& environment);

// Makes the directories of one attempt: logs below the job's, and private ones for sockets (short
// path: socket addresses hold 107 bytes) and shared memory. Errors: those of mkdir(2).
Result<AttemptDirectories> make_attempt_directories(const JobDirectory& job,
                                                    int attempt,
                                                    const EnvironmentMap& environment);

}  // namespace mpitrain
