#pragma once

#include <cstddef>

namespace mpitrain::collectives {

// A part of a buffer, in elements.
struct Slice {
    std::size_t begin = 0;
    std::size_t count = 0;
};

// The pieces of one reduction, one of each rank: the others' lie `stride` bytes apart in rank order
// from `received` on (the place of the own one is free), the own one anywhere.
struct Pieces {
    const std::byte* received;
    std::size_t stride;
    int own;
    const void* own_data;
    int ranks;
};

}  // namespace mpitrain::collectives
