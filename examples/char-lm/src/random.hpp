#pragma once

#include <cstdint>

namespace char_lm {

// Randomness without a state: the n-th number of a seed's sequence, computed from n alone (the
// SplitMix64 generator). A run that resumes needs to know only where it was.
inline std::uint64_t random_bits(std::uint64_t seed, std::uint64_t n) {
    std::uint64_t z = seed * 0xd1342543de82ef95U + (n + 1) * 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

// Uniform in [0, 1).
inline double random_unit(std::uint64_t seed, std::uint64_t n) {
    return static_cast<double>(random_bits(seed, n) >> 11) * 0x1p-53;
}

// Where `index` goes in a shuffle of 0 … count - 1 chosen by `key`. A permutation computed for one
// index at a time (a Feistel network, walked until it lands below count), so that every rank finds
// its samples of an epoch without a shuffled table.
inline std::uint64_t shuffled(std::uint64_t index, std::uint64_t count, std::uint64_t key) {
    unsigned half_bits = 1;
    while ((std::uint64_t{1} << (2 * half_bits)) < count) {
        ++half_bits;
    }
    const std::uint64_t mask = (std::uint64_t{1} << half_bits) - 1;
    do {
        std::uint64_t left = index >> half_bits;
        std::uint64_t right = index & mask;
        for (std::uint64_t round = 0; round < 4; ++round) {
            const std::uint64_t mixed = left ^ (random_bits(key + round, right) & mask);
            left = right;
            right = mixed;
        }
        index = (left << half_bits) | right;
    } while (index >= count);
    return index;
}

}  // namespace char_lm
