#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/seam/file_system.hpp"

namespace mpitrain::fake {

// What happens at one numbered call to the disk.
enum class Fault : std::uint8_t {
    fail,          // that call fails with `errno_value`, everything else goes on
    kill_process,  // the file system that made the call fails from then on, as a dead process
    kill_machine,  // every file system on the disk fails from then on, until crash()
};

struct FaultPlan {
    std::uint64_t at_call = 0;  // counted from 1 over all file systems of the disk
    Fault fault = Fault::fail;
    int errno_value = 5;  // EIO
    // Whether a killed call still took effect; of a write, its first half.
    bool takes_effect = false;
};

// A disk in memory that remembers what was synced. Thread-safe.
class Disk {
  public:
    virtual ~Disk() = default;
    // A process's view of the disk; must not outlive it. `on_killed` is called, with the disk's
    // lock held, when a fault ends the process, so that a test can end the rest of it too.
    virtual std::unique_ptr<FileSystem> mount(std::function<void()> on_killed = {}) = 0;
    virtual void plan(std::optional<FaultPlan> plan) = 0;
    [[nodiscard]] virtual std::uint64_t calls() const = 0;
    // Power loss: of what was not synced, all is dropped (no seed), or a random part: single pages
    // of files, and the first few of each directory's changes, as a journal would keep them. Open
    // files and old mounts are dead; mount again. The fault plan is cleared.
    virtual void crash(std::optional<std::uint64_t> seed) = 0;
    // What a file holds, and damage to it: behind every mount's back, synced, uncounted.
    virtual std::vector<std::byte> content(const std::string& path) const = 0;
    virtual void replace(const std::string& path, std::vector<std::byte> content) = 0;
};

std::unique_ptr<Disk> make_disk();

}  // namespace mpitrain::fake
