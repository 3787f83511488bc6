#pragma once

#include <span>
#include <string>

#include "mpitrain/model/job_spec.hpp"

namespace mpitrain::cli {

// What main() of every program with mpitrain's command line does: calls `body` with the words after
// the program's name and the process's environment, and gives its exit code. Nothing of ours
// throws: an exception is a lack of memory or a defect, said in one line, exit code 125.
int run_program(int argc,
                char** argv,
                int (*body)(std::span<const std::string> words, const EnvironmentMap& environment));

}  // namespace mpitrain::cli
