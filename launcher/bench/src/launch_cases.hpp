#pragma once

#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/engine/engine.hpp"
#include "mpitrain/model/job_spec.hpp"
#include "timed_run.hpp"

namespace mpitrain::bench {

// The programs and places that a launch bench needs.
struct LaunchTools {
    std::string mpitrain;
    std::string hello;              // mpitrain-bench-hello
    std::string directory;          // private, for logs and session files
    std::string shared_memory_dir;  // private, on tmpfs where there is one
    bool as_root = false;
};

// One line of the table.
struct LaunchCase {
    std::string name;  // "true", "hello"
    int ranks = 0;
    bool shares_cores = false;  // more ranks than slots, by mpitrain's own plan
    TimedCommand bare;
    TimedCommand ours;
};

// The command of bare mpirun: what the engine's room would start the rank agents with, but with the
// program itself in their place. So every MCA setting is the one that `mpitrain run` uses.
EngineCommand bare_command(const std::vector<std::string>& program,
                           int ranks,
                           bool shares_cores,
                           const LaunchTools& tools,
                           const EnvironmentMap& environment);

// The cases in the order of the table: true with 2 and 8 ranks, hello with 2, 8 and 32. Asks
// `mpitrain plan` which of them share cores. Errors: those of run_timed and of its answer.
Result<std::vector<LaunchCase>> make_launch_cases(const LaunchTools& tools,
                                                  const EnvironmentMap& environment);

// Whether ranks share cores, from the JSON of `mpitrain plan`. Errors: data_loss.
Result<bool> read_shares_cores(const std::string& plan_json);

}  // namespace mpitrain::bench
