#include "mpitrain/base/stream_copy.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace mpitrain {

#ifdef __SSE2__

void stream_copy(void* to, const void* from, std::size_t bytes) {
    constexpr std::size_t line = 64;
    auto* target = static_cast<std::byte*>(to);
    const auto* source = static_cast<const std::byte*>(from);
    const auto misplaced = reinterpret_cast<std::uintptr_t>(target) % line;
    const std::size_t head = std::min(bytes, misplaced == 0 ? 0 : line - misplaced);
    std::memcpy(target, source, head);
    const std::size_t whole = (bytes - head) / line * line;
    for (std::size_t i = head; i < head + whole; i += line) {
        const auto* in = reinterpret_cast<const __m128i*>(source + i);
        auto* out = reinterpret_cast<__m128i*>(target + i);
        const __m128i a = _mm_loadu_si128(in);
        const __m128i b = _mm_loadu_si128(in + 1);
        const __m128i c = _mm_loadu_si128(in + 2);
        const __m128i d = _mm_loadu_si128(in + 3);
        _mm_stream_si128(out, a);
        _mm_stream_si128(out + 1, b);
        _mm_stream_si128(out + 2, c);
        _mm_stream_si128(out + 3, d);
    }
    std::memcpy(target + head + whole, source + head + whole, bytes - head - whole);
}

void stream_fence() {
    _mm_sfence();
}

#else

void stream_copy(void* to, const void* from, std::size_t bytes) {
    std::memcpy(to, from, bytes);
}
void stream_fence() {}

#endif

}  // namespace mpitrain
