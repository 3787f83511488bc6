#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "mpitrain/collectives/types.hpp"

// Inputs and the float64 (or exact integer) answers that reductions are compared with.
namespace mpitrain::collectives::testing {

// The element at `index` of rank `rank`: small numbers of both signs, for prod near one so that
// products of many ranks stay within every type.
template <typename T>
T element_of(int rank, std::size_t index, ReduceOp op) {
    const auto mixed = (static_cast<std::uint64_t>(rank) * 7919 + index * 104729 + 13) % 97;
    if constexpr (std::is_same_v<T, std::uint8_t>) {
        return static_cast<T>(mixed + index);
    } else if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(static_cast<T>(mixed) - 48);
    } else {
        const double value = op == ReduceOp::prod ? 0.75 + static_cast<double>(mixed) / 194
                                                  : (static_cast<double>(mixed) - 48) / 16;
        return static_cast<T>(static_cast<float>(value));
    }
}

template <typename T>
std::vector<T> input_of(int rank, std::size_t count, ReduceOp op) {
    std::vector<T> values(count);
    for (std::size_t i = 0; i < count; ++i) {
        values[i] = element_of<T>(rank, i, op);
    }
    return values;
}

template <typename T>
double as_double(T value) {
    if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
        return static_cast<double>(static_cast<float>(value));
    } else {
        return static_cast<double>(value);
    }
}

// What ranks 0 … ranks - 1 give at `index`, computed one after another in double or, for integers,
// modulo 2^64.
template <typename T>
double reference_of(int ranks, std::size_t index, ReduceOp op) {
    if constexpr (std::is_integral_v<T>) {
        std::uint64_t wrapped = op == ReduceOp::prod ? 1 : 0;
        std::int64_t low = static_cast<std::int64_t>(element_of<T>(0, index, op));
        std::int64_t high = low;
        for (int r = 0; r < ranks; ++r) {
            const auto value = static_cast<std::int64_t>(element_of<T>(r, index, op));
            wrapped = op == ReduceOp::prod ? wrapped * static_cast<std::uint64_t>(value)
                                           : wrapped + static_cast<std::uint64_t>(value);
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
        if (op == ReduceOp::min || op == ReduceOp::max) {
            return static_cast<double>(op == ReduceOp::min ? low : high);
        }
        if (op == ReduceOp::avg) {
            const std::int64_t truncated = static_cast<std::int64_t>(wrapped) / ranks;
            return static_cast<double>(truncated);
        }
        return static_cast<double>(static_cast<T>(wrapped));
    } else {
        double result = as_double(element_of<T>(0, index, op));
        for (int r = 1; r < ranks; ++r) {
            const double value = as_double(element_of<T>(r, index, op));
            result = op == ReduceOp::min    ? std::fmin(result, value)
                     : op == ReduceOp::max  ? std::fmax(result, value)
                     : op == ReduceOp::prod ? result * value
                                            : result + value;
        }
        return op == ReduceOp::avg ? result / ranks : result;
    }
}

// How far a correct result may be from the reference, relative to the size of the terms.
template <typename T>
double tolerance_of(int ranks, bool rounded_each_step) {
    const double steps = rounded_each_step ? ranks : 1;
    if constexpr (std::is_same_v<T, BFloat16>) {
        return 0x1p-8 * steps;
    } else if constexpr (std::is_same_v<T, Float16>) {
        return 0x1p-11 * steps;
    } else if constexpr (std::is_same_v<T, float>) {
        return 0x1p-23 * ranks;
    } else if constexpr (std::is_same_v<T, double>) {
        return 0x1p-52 * ranks;
    } else {
        return 0;
    }
}

}  // namespace mpitrain::collectives::testing
