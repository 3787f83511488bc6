#pragma once

#include <cstddef>

// In place of CUDA's runtime: what is in its memory is disguised, so that only its copies make
// sense of it, and those happen when they are waited for.
namespace mpitrain::checkpoint::test {

inline constexpr std::byte disguise{0x5a};

struct CudaDouble {
    bool fails = false;  // what waits for copies
    int open = 0;        // streams and events
    int marked = 0;      // on the training's stream
    int awaited = 0;
};
CudaDouble& cuda_double();
std::size_t page_locked_bytes();

}  // namespace mpitrain::checkpoint::test
