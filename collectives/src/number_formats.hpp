#pragma once

#include <cstdint>
#include <cstring>

// The 16-bit floating-point formats, converted by bits, so that hosts and devices of any kind
// agree.
#ifdef __CUDACC__
#define MPITRAIN_HOST_DEVICE __host__ __device__
#else
#define MPITRAIN_HOST_DEVICE
#endif

namespace mpitrain::collectives {

MPITRAIN_HOST_DEVICE inline std::uint32_t bits_of(float value) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

MPITRAIN_HOST_DEVICE inline float float_of(std::uint32_t bits) {
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

MPITRAIN_HOST_DEVICE inline float f32_from_bf16(std::uint16_t half) {
    return float_of(static_cast<std::uint32_t>(half) << 16);
}

MPITRAIN_HOST_DEVICE inline std::uint16_t bf16_from_f32(float value) {
    const std::uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return static_cast<std::uint16_t>((bits >> 16) | 0x40u);  // stays NaN, made quiet
    }
    return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

MPITRAIN_HOST_DEVICE inline float f32_from_f16(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
    const std::uint32_t magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00u) {  // infinity and NaN
        return float_of(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
    }
    if (magnitude < 0x400u) {  // zero and subnormals: multiples of 2^-24, exact in f32
        const float value = static_cast<float>(magnitude) * 0x1p-24f;
        return float_of(sign | bits_of(value));
    }
    return float_of(sign | ((magnitude << 13) + 0x38000000u));
}

MPITRAIN_HOST_DEVICE inline std::uint16_t f16_from_f32(float value) {
    const std::uint32_t bits = bits_of(value);
    const std::uint32_t sign = (bits >> 16) & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    std::uint32_t half = 0;
    if (magnitude > 0x7f800000u) {
        half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
    } else if (magnitude >= 0x477ff000u) {  // 65520 and more round to infinity
        half = 0x7c00u;
    } else if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 rounds to a multiple of 2^-24
        half = bits_of(float_of(magnitude) + 0.5F) - 0x3f000000u;
    } else {
        half = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    }
    return static_cast<std::uint16_t>(sign | half);
}

}  // namespace mpitrain::collectives
