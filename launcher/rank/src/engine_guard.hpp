#pragma once

#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain::rank {

struct EngineGuardOptions {
    int lifeline =
        -1;  // readable or closed at the other end = its owner is gone; -1 = our parent's life
    std::vector<std::string> remove;  // directories to remove at the end
    std::vector<std::string> command;
};

// The whole of `mpitrain-rank --guard …`: runs the engine, and when it has ended or the lifeline is
// lost, ends every descendant and removes the directories, within 5 s. Returns the command's exit
// status, 128+n when it died of signal n, 126 or 127 when it could not be executed.
int run_engine_guard(const EngineGuardOptions& options);

}  // namespace mpitrain::rank
