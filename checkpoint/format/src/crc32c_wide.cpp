#include "crc32c_wide.hpp"

#include "mpitrain/base/assert.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

namespace mpitrain::checkpoint::detail {
namespace {

// x^n modulo the polynomial, with the coefficient of the highest power in bit 32: as a factor for
// bits that are stored lowest power last.
constexpr std::uint64_t power_of_x(unsigned n) {
    constexpr std::uint32_t polynomial = 0x82f63b78;
    std::uint32_t power = 0x80000000;  // x^0
    for (unsigned i = 0; i < n; ++i) {
        power = (power >> 1) ^ ((power & 1) != 0 ? polynomial : 0);
    }
    return std::uint64_t{power} << 32;
}

// What the two halves of 16 bytes are multiplied by to move them over `bits` further bits. A
// carry-less product of reflected factors comes out one power too high, hence the one less.
struct Step {
    std::uint64_t first_half;
    std::uint64_t second_half;
};
constexpr Step step_over(unsigned bits) {
    return {power_of_x(bits + 63), power_of_x(bits - 1)};
}

constexpr Step over_unit = step_over(8 * wide_unit);
constexpr Step over_64_bytes = step_over(8 * 64);
constexpr Step over_16_bytes = step_over(8 * 16);

[[gnu::target("avx512f,avx512vl,vpclmulqdq,pclmul,sse4.2")]] inline __m512i factor(Step step) {
    const auto first = static_cast<long long>(step.first_half);
    const auto second = static_cast<long long>(step.second_half);
    return _mm512_set_epi64(second, first, second, first, second, first, second, first);
}

[[gnu::target("avx512f,avx512vl,vpclmulqdq,pclmul,sse4.2")]] inline __m512i fold(__m512i sum,
                                                                                 __m512i step,
                                                                                 __m512i next) {
    constexpr int exclusive_or_of_three = 0x96;
    return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(sum, step, 0x00),
                                     _mm512_clmulepi64_epi128(sum, step, 0x11),
                                     next,
                                     exclusive_or_of_three);
}

[[gnu::target("avx512f,avx512vl,vpclmulqdq,pclmul,sse4.2")]] inline __m128i fold(__m128i sum,
                                                                                 __m128i step,
                                                                                 __m128i next) {
    return _mm_xor_si128(
        _mm_xor_si128(_mm_clmulepi64_si128(sum, step, 0x00), _mm_clmulepi64_si128(sum, step, 0x11)),
        next);
}

// The CRC of four sums that follow each other at 64 bytes.
[[gnu::target("avx512f,avx512vl,vpclmulqdq,pclmul,sse4.2")]] std::uint32_t reduce(
    const __m512i (&sums)[4]) {
    const __m512i by_64 = factor(over_64_bytes);
    const __m512i one = fold(fold(fold(sums[0], by_64, sums[1]), by_64, sums[2]), by_64, sums[3]);
    alignas(64) __m128i parts[4];
    _mm512_store_si512(parts, one);
    const __m128i by_16 = _mm_set_epi64x(static_cast<long long>(over_16_bytes.second_half),
                                         static_cast<long long>(over_16_bytes.first_half));
    const __m128i last =
        fold(fold(fold(parts[0], by_16, parts[1]), by_16, parts[2]), by_16, parts[3]);
    const auto first = static_cast<std::uint64_t>(_mm_extract_epi64(last, 0));
    const auto second = static_cast<std::uint64_t>(_mm_extract_epi64(last, 1));
    return static_cast<std::uint32_t>(_mm_crc32_u64(_mm_crc32_u64(0, first), second));
}

template <bool copies>
[[gnu::target("avx512f,avx512vl,vpclmulqdq,pclmul,sse4.2")]] std::uint32_t walk(
    std::byte* to, std::span<const std::byte> bytes, std::uint32_t before) {
    MPITRAIN_ASSERT(bytes.size() >= wide_unit && bytes.size() % wide_unit == 0);
    const __m512i step = factor(over_unit);
    __m512i sums[4] = {};
    // Folding nothing gives nothing, so the first unit needs no case of its own; what came before
    // is added to its first bytes.
    __m512i begin = _mm512_set_epi64(0, 0, 0, 0, 0, 0, 0, static_cast<long long>(~before));
    for (std::size_t at = 0; at < bytes.size(); at += wide_unit) {
        for (std::size_t i = 0; i < 4; ++i) {
            const __m512i next = _mm512_loadu_si512(bytes.data() + at + 64 * i);
            if constexpr (copies) {
                _mm512_stream_si512(reinterpret_cast<__m512i*>(to + at + 64 * i), next);
            }
            sums[i] = fold(sums[i], step, next);
        }
        sums[0] = _mm512_xor_si512(sums[0], begin);
        begin = _mm512_setzero_si512();
    }
    return ~reduce(sums);
}

}  // namespace

bool has_wide_multiply() {
    static const bool has =
        __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
        __builtin_cpu_supports("vpclmulqdq") != 0 && __builtin_cpu_supports("pclmul") != 0 &&
        __builtin_cpu_supports("sse4.2") != 0;
    return has;
}

std::uint32_t crc32c_wide(std::span<const std::byte> bytes, std::uint32_t before) {
    return walk<false>(nullptr, bytes, before);
}

std::uint32_t crc32c_wide_copy(std::byte* to,
                               std::span<const std::byte> bytes,
                               std::uint32_t before) {
    return walk<true>(to, bytes, before);
}

}  // namespace mpitrain::checkpoint::detail

#else

namespace mpitrain::checkpoint::detail {

bool has_wide_multiply() {
    return false;
}
std::uint32_t crc32c_wide(std::span<const std::byte>, std::uint32_t) {
    MPITRAIN_ASSERT(false);
    return 0;
}
std::uint32_t crc32c_wide_copy(std::byte*, std::span<const std::byte>, std::uint32_t) {
    MPITRAIN_ASSERT(false);
    return 0;
}

}  // namespace mpitrain::checkpoint::detail

#endif
