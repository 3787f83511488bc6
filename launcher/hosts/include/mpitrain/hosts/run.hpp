#pragma once

#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/hosts/plan_on_hosts.hpp"
#include "mpitrain/supervise/run.hpp"

namespace mpitrain::hosts {

struct RunOnHosts {
    JobSpec spec;                       // valid, with absolute paths
    std::vector<HostEntry> hosts;       // not all of them this machine
    const EnvironmentMap& environment;  // mpitrain's own, all of it
    std::string agent_path;             // mpitrain-rank here
    RemotePrograms programs;
    FileSystem& files;  // where checkpoints lie, which all hosts must see
    Talk talk = Talk::people;
    bool color = false;
};

// `mpitrain run` on several machines: plans, claims each machine's slots as the ranks start there,
// and runs the job to its end. Gives the exit code of CONTRACT section 3. Errors: those of
// HostsPlanner and run_job; nothing was started then.
Result<int> run_on_hosts(RunOnHosts request);

}  // namespace mpitrain::hosts
