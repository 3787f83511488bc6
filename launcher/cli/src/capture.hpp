#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain::cli {

struct Capture {
    std::string input;                               // what it reads, at most 64 KiB
    std::size_t bytes_max = std::size_t{64} << 10U;  // of what it prints
    bool with_errors = true;  // what it says on standard error is part of the answer
};

// Runs a short program found along PATH and gives what it printed. Errors: not_found,
// permission_denied (it cannot be started); deadline_exceeded (it was killed); resource_exhausted
// (it printed more than bytes_max); io (it failed, with the first line that it printed).
Result<std::string> capture(std::vector<std::string> command,
                            std::chrono::milliseconds deadline,
                            const Capture& options = {});

}  // namespace mpitrain::cli
