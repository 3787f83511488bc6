#pragma once

#include <optional>
#include <string>

#include "mpitrain/base/cpu_set.hpp"

namespace mpitrain::topology {

// What the kernel lets this process use of the machine's CPUs. What cannot be read does not limit.
struct CpuLimits {
    std::optional<CpuSet> cpus;   // affinity and cpuset together
    std::optional<double> quota;  // CPUs' worth of time: the tightest cgroup above this process
};

// The cpuset and quota of this process's cgroups, version 1, 2 or both at once. `root` is where
// /proc/self/cgroup, /proc/self/mountinfo and the mount points they name are looked up.
CpuLimits read_cgroup_limits(const std::string& root);

// The same, with the affinity of the calling thread.
CpuLimits read_cpu_limits(const std::string& root);

}  // namespace mpitrain::topology
