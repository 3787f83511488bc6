#pragma once

#include <algorithm>
#include <cstddef>

#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/types.hpp"

namespace mpitrain::collectives {

inline const std::byte* at(ConstBuffer buffer, std::size_t element) {
    return static_cast<const std::byte*>(buffer.data) + element * size_bytes(buffer.type);
}
inline std::byte* at(Buffer buffer, std::size_t element) {
    return static_cast<std::byte*>(buffer.data) + element * size_bytes(buffer.type);
}
inline ConstBuffer part(ConstBuffer buffer, std::size_t begin, std::size_t count) {
    return {at(buffer, begin), count, buffer.type};
}
inline Buffer part(Buffer buffer, std::size_t begin, std::size_t count) {
    return {at(buffer, begin), count, buffer.type};
}

// Calls step(begin, count) for consecutive pieces of at most `most` until one fails.
template <typename Step>
Result<void> in_segments(std::size_t count, std::size_t most, const Step& step) {
    for (std::size_t begin = 0; begin < count; begin += most) {
        MPITRAIN_TRY_VOID(step(begin, std::min(most, count - begin)));
    }
    return {};
}

}  // namespace mpitrain::collectives
