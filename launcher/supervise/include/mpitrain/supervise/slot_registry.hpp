#pragma once

#include <string>
#include <vector>

#include "mpitrain/base/cpu_set.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/model/topology.hpp"
#include "mpitrain/supervise/unique_fd.hpp"

namespace mpitrain {

// What a job needs alone (or, for cores under --oversubscribe, together with other jobs that share
// too).
struct Resources {
    CpuSet cpus;
    std::vector<std::string> gpus;  // UUIDs, or PCI addresses where there is none
    bool share_cpus = false;
};
Resources resources_of(const Slot& slot);
// The names of their lock files in the registry's directory.
std::vector<std::string> lock_names(const Resources& wanted);

// The locks a job holds. As long as any copy of these descriptors is open, in whatever process, the
// resources are taken.
struct SlotClaim {
    std::vector<UniqueFd> locks;
};

// The machine-wide registry by which two mpitrain of any two users never take the same slot: one
// file per CPU and GPU in a sticky directory, locked with flock(2). The kernel drops the locks of a
// dead process, so nothing is ever stale. Thread-compatible.
class SlotRegistry {
  public:
    // Opens, and makes if needed, $MPITRAIN_LOCK_DIR, else /run/lock/mpitrain, else
    // /tmp/mpitrain-lock. Errors: permission_denied, io.
    static Result<SlotRegistry> open();

    // Locks all of `wanted`, or nothing. Errors: resource_exhausted naming a holder; io.
    [[nodiscard]] Result<SlotClaim> try_claim(const Resources& wanted) const;
    [[nodiscard]] bool is_free(const Resources& wanted) const;
    // Who holds any of `wanted`, for people: "pid 123 (alice, mpitrain)". Empty when nobody does.
    [[nodiscard]] std::string holder(const Resources& wanted) const;
    // Whether a holder of `wanted` is only a dying job: its supervisor is gone, and its guard is
    // about to let go.
    [[nodiscard]] bool is_being_released(const Resources& wanted) const;

    [[nodiscard]] const std::string& directory() const { return directory_; }

  private:
    explicit SlotRegistry(std::string directory) : directory_(std::move(directory)) {}
    [[nodiscard]] Result<UniqueFd> lock(const std::string& name, bool shared) const;
    [[nodiscard]] std::vector<int> holder_pids(const Resources& wanted) const;
    std::string directory_;
};

}  // namespace mpitrain
