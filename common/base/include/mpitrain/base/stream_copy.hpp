#pragma once

#include <cstddef>

namespace mpitrain {

// As memcpy, but writes past the cache where the processor can: for results that are larger than
// it. Others see the bytes only after stream_fence().
void stream_copy(void* to, const void* from, std::size_t bytes);
void stream_fence();

}  // namespace mpitrain
