#pragma once

#include <string>

#include "mpitrain/base/result.hpp"
#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/supervise/run.hpp"

namespace mpitrain::local {

struct RunHere {
    JobSpec spec;                       // valid, with absolute paths
    const EnvironmentMap& environment;  // mpitrain's own, all of it
    std::string agent_path;             // mpitrain-rank
    std::string client_library;         // libmpitrain_client.so, or empty
    FileSystem& files;                  // where checkpoints lie
    Talk talk = Talk::people;
    bool color = false;
};

// `mpitrain run` on this machine: claims the slots and runs the job to its end. Gives the exit code
// of CONTRACT section 3. Errors: those of claim_here and run_job; nothing was started then.
Result<int> run_here(RunHere request);

}  // namespace mpitrain::local
