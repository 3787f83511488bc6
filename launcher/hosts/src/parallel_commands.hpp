#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace mpitrain::hosts {

// How a command ended, and what it printed, at most 16 MiB each.
struct CommandEnd {
    int status = -1;  // its exit code, 128+n for signal n; -1 = it could not be started
    bool in_time = true;
    std::string out;
    std::string err;
};

// Runs commands without input, found along PATH, up to 128 at a time, and waits for all of them;
// those that still run at the deadline are killed. In the order of `commands`.
std::vector<CommandEnd> run_in_parallel(const std::vector<std::vector<std::string>>& commands,
                                        std::chrono::milliseconds deadline);

}  // namespace mpitrain::hosts
