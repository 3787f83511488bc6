#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain::cli {

// Runs a short program found along PATH, with no input, and gives what it printed on either output,
// at most 64 KiB. Errors: not_found, permission_denied (it cannot be started); deadline_exceeded
// (it was killed); io (it failed, with its exit status in the text).
Result<std::string> capture(std::vector<std::string> command, std::chrono::milliseconds deadline);

}  // namespace mpitrain::cli
