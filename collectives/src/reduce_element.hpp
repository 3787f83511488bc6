#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "mpitrain/collectives/types.hpp"
#include "number_formats.hpp"

// The arithmetic of one element, shared by host and device so that both give the same bits.
namespace mpitrain::collectives {

// How T is stored, and the type it is combined in: f16 and bf16 in f32, all else as itself.
template <DataType type>
struct Format;
template <typename T>
struct PlainFormat {
    using Stored = T;
    using Wide = T;
    MPITRAIN_HOST_DEVICE static Wide load(Stored value) { return value; }
    MPITRAIN_HOST_DEVICE static Stored store(Wide value) { return value; }
};
template <>
struct Format<DataType::f64> : PlainFormat<double> {};
template <>
struct Format<DataType::f32> : PlainFormat<float> {};
template <>
struct Format<DataType::i32> : PlainFormat<std::int32_t> {};
template <>
struct Format<DataType::i64> : PlainFormat<std::int64_t> {};
template <>
struct Format<DataType::u8> : PlainFormat<std::uint8_t> {};
template <>
struct Format<DataType::f16> {
    using Stored = std::uint16_t;
    using Wide = float;
    MPITRAIN_HOST_DEVICE static Wide load(Stored value) { return f32_from_f16(value); }
    MPITRAIN_HOST_DEVICE static Stored store(Wide value) { return f16_from_f32(value); }
};
template <>
struct Format<DataType::bf16> {
    using Stored = std::uint16_t;
    using Wide = float;
    MPITRAIN_HOST_DEVICE static Wide load(Stored value) { return f32_from_bf16(value); }
    MPITRAIN_HOST_DEVICE static Stored store(Wide value) { return bf16_from_f32(value); }
};

// a combined with b. Integers wrap, computed unsigned since signed overflow has no meaning in C++.
template <ReduceOp op, typename T>
MPITRAIN_HOST_DEVICE inline T combine(T a, T b) {
    if constexpr (op == ReduceOp::min) {
        return (b < a || b != b) ? b : a;
    } else if constexpr (op == ReduceOp::max) {
        return (b > a || b != b) ? b : a;
    } else if constexpr (std::is_floating_point_v<T>) {
        return op == ReduceOp::prod ? a * b : a + b;
    } else {
        const auto ua = static_cast<std::uint64_t>(a);
        const auto ub = static_cast<std::uint64_t>(b);
        return static_cast<T>(op == ReduceOp::prod ? ua * ub : ua + ub);
    }
}

// The last step, once all ranks are combined.
template <ReduceOp op, typename T>
MPITRAIN_HOST_DEVICE inline T finish(T value, int ranks) {
    if constexpr (op == ReduceOp::avg) {
        return static_cast<T>(value / static_cast<T>(ranks));
    }
    return value;
}

// What avg is combined in: integers wider, so that small types do not wrap.
template <DataType type, ReduceOp op>
using WideOf =
    std::conditional_t<op == ReduceOp::avg && std::is_integral_v<typename Format<type>::Wide>,
                       std::int64_t,
                       typename Format<type>::Wide>;

// Calls `action.template operator()<type, op>()` for the values given.
template <ReduceOp op, typename Action>
auto with_type(DataType type, Action&& action) {
    switch (type) {
        case DataType::f64:
            return action.template operator()<DataType::f64, op>();
        case DataType::f32:
            return action.template operator()<DataType::f32, op>();
        case DataType::f16:
            return action.template operator()<DataType::f16, op>();
        case DataType::bf16:
            return action.template operator()<DataType::bf16, op>();
        case DataType::i32:
            return action.template operator()<DataType::i32, op>();
        case DataType::i64:
            return action.template operator()<DataType::i64, op>();
        case DataType::u8:
            break;
    }
    return action.template operator()<DataType::u8, op>();
}

template <typename Action>
auto with_type_and_op(DataType type, ReduceOp op, Action&& action) {
    switch (op) {
        case ReduceOp::sum:
            return with_type<ReduceOp::sum>(type, action);
        case ReduceOp::prod:
            return with_type<ReduceOp::prod>(type, action);
        case ReduceOp::min:
            return with_type<ReduceOp::min>(type, action);
        case ReduceOp::max:
            return with_type<ReduceOp::max>(type, action);
        case ReduceOp::avg:
            break;
    }
    return with_type<ReduceOp::avg>(type, action);
}

}  // namespace mpitrain::collectives
