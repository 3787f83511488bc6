#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define CHAR_LM_HOST_DEVICE __host__ __device__
#else
#define CHAR_LM_HOST_DEVICE
#endif

namespace char_lm {

// e^x for x <= 0, within 2e-7 of the value. Plain arithmetic without branches, so that the compiler
// vectorises loops over it; the C library's expf() would take most of the training time.
CHAR_LM_HOST_DEVICE inline float exponential(float x) {
    constexpr float low = -87.0F;
    constexpr float log2_e = 1.44269504F;
    constexpr float ln2_high = 0.693145752F;
    constexpr float ln2_low = 1.42860677e-6F;
    constexpr float rounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
    x = x < low ? low : x;
    const float shifted = x * log2_e + rounder;
    const float whole = shifted - rounder;
    const float rest = (x - whole * ln2_high) - whole * ln2_low;
    float series = 1.0F / 720.0F;
    series = series * rest + 1.0F / 120.0F;
    series = series * rest + 1.0F / 24.0F;
    series = series * rest + 1.0F / 6.0F;
    series = series * rest + 0.5F;
    series = series * rest + 1.0F;
    series = series * rest + 1.0F;
    const auto exponent = static_cast<std::int32_t>(whole) + 127;
    const auto bits = static_cast<std::uint32_t>(exponent) << 23;
    float power = 0;
    std::memcpy(&power, &bits, sizeof power);
    return series * power;
}
inline double exponential(double x) {
    return std::exp(x);
}

// tanh x, within 4e-7.
CHAR_LM_HOST_DEVICE inline float hyperbolic_tangent(float x) {
    const float magnitude = x < 0 ? -x : x;
    const float decay = exponential(-2.0F * magnitude);
    const float value = (1.0F - decay) / (1.0F + decay);
    return x < 0 ? -value : value;
}
inline double hyperbolic_tangent(double x) {
    return std::tanh(x);
}

}  // namespace char_lm
