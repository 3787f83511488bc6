#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/model/job_spec.hpp"

namespace mpitrain::bench {

struct TimedCommand {
    std::vector<std::string> argv;  // the program is searched in PATH
    EnvironmentMap environment;     // all of it
    std::string out_path;           // where its output goes: /dev/null or a file, which is emptied
    std::string err_path;
    std::chrono::milliseconds deadline{60'000};
};

// Starts the command with an empty input, and waits for its end: the milliseconds from just before
// its start until its exit was seen. Errors: system errors of starting it; deadline_exceeded (it
// was killed); unavailable when it ended other than by exit status 0, with the last line that it
// wrote to err_path.
Result<double> run_timed(const TimedCommand& command);

}  // namespace mpitrain::bench
