#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/plan/launch_plan.hpp"

namespace mpitrain {

// How the engine reaches a job's other machines.
struct RemoteLaunch {
    std::vector<std::string> networks;  // that join them, "10.0.0.0/16"; empty = whatever there is
    std::vector<std::string> ssh_args;  // without spaces in any
    Nanoseconds heartbeat = std::chrono::seconds(5);  // we notice lost nodes within it ourselves
};

// The environment variable in which the agents find the job's key. Its value is never on a command
// line, and the agents take it out of their environment.
constexpr std::string_view job_key_variable = "MPITRAIN_JOB_KEY";

// What an engine needs to know of the attempt it starts.
struct EngineInput {
    const LaunchPlan& plan;
    std::string agent_path;       // mpitrain-rank
    std::string control_address;  // where the agents connect, "unix:/…" or "tcp:…"
    // Private to the attempt; the engine's session files go below it. On other machines the agents
    // make and remove these two directories.
    std::string session_dir;
    std::string
        shared_memory_dir;  // private to the attempt, on tmpfs; MPI's shared-memory files go there
    bool as_root = false;
    std::vector<std::string> extra_args;  // the user's --mpirun-arg
    const EnvironmentMap&
        environment;  // the submitter's; what it says of MCA parameters wins over ours
    const RemoteLaunch* remote = nullptr;  // null = all ranks are on this machine
};

struct EngineCommand {
    std::vector<std::string> argv;
    EnvironmentMap env;  // to be laid over the submitter's environment
};

// What an engine said in prose that nobody else can know. Only ever used to name a cause, never to
// decide an outcome.
struct EngineReport {
    std::optional<Rank> aborted_rank;  // MPI_Abort was called there
    std::optional<int> abort_code;
    std::optional<Rank> improper_rank;  // left without MPI_Finalize
    bool gives_up = false;              // a process that it started has failed
    std::string text;                   // the last 4 KiB
};

// The distributed process launcher under a job. Thread-compatible; no I/O of its own.
class Engine {
  public:
    virtual ~Engine() = default;
    // The command that starts one rank agent for each rank of the plan, in the plan's groups.
    [[nodiscard]] virtual EngineCommand command(const EngineInput& input) const = 0;
    // Reads more of the engine's own output into `report`.
    virtual void read(std::string_view text, EngineReport& report) const = 0;
};

// Open MPI 4.1's and 5.0's mpirun.
std::unique_ptr<Engine> make_mpirun_engine();

}  // namespace mpitrain
