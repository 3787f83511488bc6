#pragma once

#include <string>
#include <vector>

// Runs the real mpitrain of this build, as a shell would.
namespace mpitrain::cli {

struct Outcome {
    int exit_code = -1;  // 128 + n for a signal
    std::string out;
    std::string err;
};

// `environment` entries ("NAME=value") are added to a small fixed environment with an empty home
// directory. Ends the program after 20 s.
Outcome run_mpitrain(const std::vector<std::string>& words,
                     const std::vector<std::string>& environment = {});

}  // namespace mpitrain::cli
