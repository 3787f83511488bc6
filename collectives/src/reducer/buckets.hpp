#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "mpitrain/collectives/types.hpp"

namespace mpitrain::collectives {

// Parameters that are reduced together. Pure.
struct Bucket {
    std::vector<std::size_t> parameters;  // in the order in which their gradients become ready
    std::size_t count = 0;                // elements of all of them
    // Where they are one piece of memory: all of it, in memory's order; else no data.
    Buffer whole;
};

// The parameters from last to first, in buckets of at most `bytes` each; a larger one is alone.
// Towards the end they shrink, to half of what is left but no less than an eighth of `bytes`: what
// is complete only when the pass is over cannot hide behind it.
std::vector<Bucket> make_buckets(std::span<const Buffer> gradients, std::size_t bytes);

}  // namespace mpitrain::collectives
