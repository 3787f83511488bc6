#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/peers.hpp"

namespace mpitrain::checkpoint {

// What a rank tells the others at the start of a save.
struct BegunSave {
    std::uint64_t step = 0;
    std::string token;  // rank 0's counts
    std::string plan;   // the plan at hand, if it still fits what the rank brings
    bool busy = false;  // with an earlier save
};

std::string encode(const BegunSave& begun);

struct BegunSaves {
    std::string token;
    std::vector<std::string> plans;  // by rank
    bool any_busy = false;
};

// Collective. `mine` is an encoded BegunSave, or why this rank cannot save. Errors: those of any
// rank, invalid_argument (the ranks save different steps).
Result<BegunSaves> begin_together(Peers& peers,
                                  const Result<std::string>& mine,
                                  std::uint64_t step,
                                  std::chrono::milliseconds deadline);

}  // namespace mpitrain::checkpoint
