#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

// Whether the kernel's out-of-memory killer ended the program: its memory cgroup counts the
// victims.
namespace mpitrain::rank {

// Where this process's memory controller is mounted.
struct MemoryController {
    enum class Version : std::uint8_t { none, v1, v2 };
    Version version = Version::none;
    std::string mount_point;
    std::string root;  // the path within the hierarchy that the mount shows as its top

    // Reads /proc/self/mountinfo's text. A v1 controller wins: with one, a v2 hierarchy has no
    // memory files.
    static MemoryController parse(const std::string& mountinfo);
    // The controller's line of /proc/PID/cgroup's text: the path within the hierarchy, or nullopt.
    [[nodiscard]] std::optional<std::string> path_in(const std::string& cgroup_text) const;
};

class OomWatch {
  public:
    // Takes the baseline: the program starts in our cgroup.
    OomWatch();
    // Looks where the program is now. Only of use, and only needed now and then, where
    // needs_ticks(): version 1 hides the cgroup of a dead process.
    void tick(pid_t program);
    [[nodiscard]] bool needs_ticks() const;
    // Of a program that died by a SIGKILL not ours; it must not be reaped yet.
    [[nodiscard]] bool killed(pid_t program) const;

  private:
    struct Place {
        std::string file;  // with the counter; empty when there is none
        std::uint64_t kills = 0;
    };
    [[nodiscard]] Place place_of(const std::string& process) const;
    [[nodiscard]] bool rose(const Place& now) const;

    MemoryController controller_;
    Place start_;
    Place seen_;  // the last one that tick() found, with its count at the time
    std::uint64_t machine_kills_ = 0;
};

}  // namespace mpitrain::rank
