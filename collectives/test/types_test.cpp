#include "mpitrain/collectives/types.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tree_reduce.hpp"

namespace mpitrain::collectives {
namespace {

// The value of binary16 `bits` by the definition of the format.
double value_of_f16(std::uint32_t bits) {
    const double sign = (bits & 0x8000U) != 0 ? -1 : 1;
    const int exponent = static_cast<int>((bits >> 10) & 0x1fU);
    const double fraction = static_cast<double>(bits & 0x3ffU) / 1024;
    return exponent == 0 ? sign * std::ldexp(fraction, -14)
                         : sign * std::ldexp(1 + fraction, exponent - 15);
}

TEST(Float16, EveryValueConvertsExactlyAndBack) {
    for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
        Float16 half;
        half.bits = static_cast<std::uint16_t>(bits);
        const auto value = static_cast<float>(half);
        if ((bits & 0x7fffU) > 0x7c00U) {
            EXPECT_TRUE(std::isnan(value));
            EXPECT_TRUE(std::isnan(static_cast<float>(Float16(value))));
            continue;
        }
        if ((bits & 0x7fffU) < 0x7c00U) {
            ASSERT_EQ(static_cast<double>(value), value_of_f16(bits));
        }
        ASSERT_EQ(Float16(value), half);
    }
}

TEST(Float16, RoundsToTheNearestTiesToEven) {
    for (std::uint32_t bits = 0; bits < 0x7bffU; ++bits) {
        const double low = value_of_f16(bits);
        const double high = value_of_f16(bits + 1);
        const auto middle = static_cast<float>((low + high) / 2);
        const auto even = static_cast<std::uint16_t>(bits % 2 == 0 ? bits : bits + 1);
        ASSERT_EQ(Float16(middle).bits, even);
        ASSERT_EQ(Float16(std::nextafterf(middle, 0)).bits, bits);
        ASSERT_EQ(Float16(-std::nextafterf(middle, 1e9F)).bits, 0x8000U | (bits + 1));
    }
    EXPECT_EQ(Float16(65519.996F).bits, 0x7bffU);
    EXPECT_EQ(Float16(65520.0F).bits, 0x7c00U);
    EXPECT_EQ(Float16(-std::numeric_limits<float>::infinity()).bits, 0xfc00U);
}

TEST(BFloat16, RoundsToTheNearestTiesToEven) {
    for (std::uint32_t bits = 0; bits < 0x7f80U; ++bits) {
        BFloat16 half;
        half.bits = static_cast<std::uint16_t>(bits);
        const auto value = static_cast<float>(half);
        ASSERT_EQ(BFloat16(value), half);
        BFloat16 next;
        next.bits = static_cast<std::uint16_t>(bits + 1);
        if (bits + 1 < 0x7f80U) {
            const auto both =
                static_cast<double>(value) + static_cast<double>(static_cast<float>(next));
            const auto middle = static_cast<float>(both / 2);
            ASSERT_EQ(BFloat16(middle).bits, bits % 2 == 0 ? bits : bits + 1);
        }
    }
    EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(std::nanf("")))));
    EXPECT_EQ(BFloat16(std::numeric_limits<float>::max()).bits, 0x7f80U);
}

TEST(Buffer, ViewsAnyRangeOfElements) {
    std::vector<float> floats(3);
    const std::vector<std::int64_t> longs(4);
    std::uint8_t bytes[5] = {};
    EXPECT_EQ(Buffer(floats).type, DataType::f32);
    EXPECT_EQ(ConstBuffer(longs).bytes(), 32U);
    EXPECT_EQ(Buffer(bytes).count, 5U);
    static_assert(!std::is_constructible_v<Buffer, const std::vector<float>&>);
    static_assert(!std::is_constructible_v<ConstBuffer, std::vector<char>>);
}

// Strings of sums show the shape of the tree: numbers so far apart that their sum forgets the small
// one unless it met its neighbour first.
TEST(ReduceTree, CombinesNeighboursFirst) {
    const std::vector<float> values{1e8F, 3.0F, 3.0F, -1e8F, 5.0F};
    std::vector<const void*> pieces;
    for (const float& value : values) {
        pieces.push_back(&value);
    }
    float result = 0;
    reduce_tree(pieces, 1, DataType::f32, ReduceOp::sum, &result);
    EXPECT_EQ(result, ((1e8F + 3.0F) + (3.0F + -1e8F)) + 5.0F);
    reduce_tree(std::span(pieces).first(3), 1, DataType::f32, ReduceOp::sum, &result);
    EXPECT_EQ(result, (1e8F + 3.0F) + 3.0F);
}

TEST(ReduceTree, KeepsNanAndWrapsIntegers) {
    const std::vector<float> values{1.0F, std::nanf(""), 0.5F};
    const std::vector<const void*> pieces{&values[0], &values[1], &values[2]};
    float result = 0;
    for (const auto op : {ReduceOp::min, ReduceOp::max, ReduceOp::sum}) {
        reduce_tree(pieces, 1, DataType::f32, op, &result);
        EXPECT_TRUE(std::isnan(result)) << to_string(op);
    }
    const std::int32_t high = std::numeric_limits<std::int32_t>::max();
    const std::vector<const void*> two{&high, &high};
    std::int32_t sum = 0;
    reduce_tree(two, 1, DataType::i32, ReduceOp::sum, &sum);
    EXPECT_EQ(sum, -2);
    reduce_tree(two, 1, DataType::i32, ReduceOp::avg, &sum);
    EXPECT_EQ(sum, high) << "an average needs room for the sum";
}

}  // namespace
}  // namespace mpitrain::collectives
