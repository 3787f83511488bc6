#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mpitrain/supervise/verdict.hpp"

namespace mpitrain {

// One ended attempt, as far as restarting goes.
struct AttemptRecord {
    Verdict verdict;
    bool committed = false;  // made at least one new commit
};

struct RestartDecision {
    bool restart = false;
    std::string reason;  // why not, in one line; empty when restarting
};

// Whether a failed job is tried again (CONTRACT section 3): at most `max_restarts` times, never
// after a program that could not be started, never after two attempts in a row without a new
// commit. Lost nodes and preemptions do not count; of them there may be `max_node_failures`. Pure.
RestartDecision decide_restart(const std::vector<AttemptRecord>& attempts,
                               int max_restarts,
                               std::optional<int> max_node_failures = std::nullopt);

}  // namespace mpitrain
