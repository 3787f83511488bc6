#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "mpitrain/base/result.hpp"
#include "mpitrain/engine/engine.hpp"
#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/plan/launch_plan.hpp"
#include "mpitrain/seam/file_system.hpp"
#include "mpitrain/supervise/hosts_access.hpp"
#include "mpitrain/supervise/slot_registry.hpp"

namespace mpitrain {

// How much a run says, and where. Ranks' output goes to stdout and stderr as theirs, or all to
// stderr when stdout is for data.
enum class Talk : std::uint8_t { people, json, quiet };

// The next plan of a job on several machines, after something of `lost` was lost, or, when `dark`,
// all of it: on those that answer now, another in its place where there is one. Takes some seconds
// at most. Errors: those of planning.
using Replan = std::function<Result<HostsPlan>(const std::string& lost, bool dark)>;

struct RunRequest {
    JobSpec spec;  // valid, with absolute paths
    LaunchPlan plan;
    SlotClaim claim;   // the plan's slots, held until the last process of the job is gone
    std::string what;  // what the ranks run on, for people: "4 GPUs", "2 cores"
    EnvironmentMap submit_environment;
    EnvironmentMap rank_environment;
    std::string agent_path;      // mpitrain-rank
    std::string client_library;  // libmpitrain_client.so, or empty
    FileSystem& files;           // where checkpoints lie; outlives the job
    Talk talk = Talk::people;
    bool color = false;
    std::optional<HostsAccess> hosts = std::nullopt;  // for a job on several machines,
    Replan replan = nullptr;                          // both of these
    std::vector<std::string> notes = {};              // for people, said at the start, a line each
};

// Runs the job to its end in the foreground: attempts, restarts, stop, result file, events,
// terminal. Returns the exit code of CONTRACT section 3. Handles INT, TERM, HUP (stop), USR1, USR2,
// WINCH, TSTP, CONT (forwarded) until it returns. Errors: before anything was started only: log or
// result paths that cannot be written, no engine.
Result<int> run_job(RunRequest request);

}  // namespace mpitrain
