#pragma once

#include "link.hpp"

namespace mpitrain::rank {

// The whole of `mpitrain-rank --control …`: becomes the guard, the engine's child, and runs the
// agent as its own child. When the agent is killed, the guard ends all that the agent had started
// and reports in its place; when the guard is killed, the agent does. Returns the exit status.
int run_rank(const RankOptions& options);

}  // namespace mpitrain::rank
