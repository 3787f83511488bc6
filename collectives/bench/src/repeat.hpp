#pragma once

#include <cstdint>

#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/communicator.hpp"

namespace mpitrain::collectives::bench {

struct Repeated {
    int runs = 0;
    int others = 0;            // runs whose bits were not those of the first, on any rank
    std::uint64_t digest = 0;  // of the bits of all ranks' results
};

// Makes the same reductions again and again, each rank after delays of its own, new ones each time:
// allreduce, reduce and reduce_scatter of f32 and f16 at sizes from one element to several
// segments, and a GradientReducer's step, on a thread of its own where `overlap`. The inputs are
// such that another order of adding shows. The digest is a function of the number of ranks alone.
// Collective.
Result<Repeated> repeat_with_delays(int runs, bool overlap, Communicator& ranks);

}  // namespace mpitrain::collectives::bench
