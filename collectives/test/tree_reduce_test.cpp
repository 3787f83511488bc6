#include "tree_reduce.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "reduce_element.hpp"

namespace mpitrain::collectives {
namespace {

// The tree, element by element, in the plainest way.
template <DataType type, ReduceOp op>
typename Format<type>::Stored plain_tree(std::vector<WideOf<type, op>> level) {
    const int ranks = static_cast<int>(level.size());
    for (std::size_t n = level.size(); n > 1; n = (n + 1) / 2) {
        for (std::size_t i = 0; i < n; i += 2) {
            level.at(i / 2) = i + 1 < n ? combine<op>(level.at(i), level.at(i + 1)) : level.at(i);
        }
    }
    using Narrow = typename Format<type>::Wide;
    return Format<type>::store(static_cast<Narrow>(finish<op>(level.at(0), ranks)));
}

template <DataType type, ReduceOp op>
void compare(std::size_t pieces, std::size_t count) {
    using Stored = typename Format<type>::Stored;
    std::minstd_rand random(static_cast<unsigned>(pieces));
    std::vector<std::vector<Stored>> inputs(pieces, std::vector<Stored>(count + 1));
    std::vector<const void*> starts;
    for (auto& input : inputs) {
        for (Stored& element : input) {
            const auto bits = (static_cast<std::uint64_t>(random()) << 32) ^ random();
            std::memcpy(&element, &bits, sizeof element);  // infinities, NaN and subnormals too
        }
        starts.push_back(input.data() + 1);  // off the natural alignment of vectors
    }
    std::vector<Stored> want(count);
    for (std::size_t i = 0; i < count; ++i) {
        std::vector<WideOf<type, op>> column;
        for (const auto& input : inputs) {
            column.push_back(static_cast<WideOf<type, op>>(Format<type>::load(input[i + 1])));
        }
        want[i] = plain_tree<type, op>(column);
    }
    std::vector<Stored> got(count);
    reduce_tree(starts, count, type, op, got.data());
    // In place over the last piece.
    Stored* last = inputs.back().data() + 1;
    reduce_tree(starts, count, type, op, last);
    for (std::size_t i = 0; i < count; ++i) {
        // Which of two NaNs a sum keeps is the processor's choice: the payload is no promise.
        const bool both_nan = Format<type>::load(want[i]) != Format<type>::load(want[i]) &&
                              Format<type>::load(got[i]) != Format<type>::load(got[i]);
        if (!both_nan) {
            ASSERT_EQ(0, std::memcmp(&want[i], &got[i], sizeof(Stored)))
                << to_string(type) << " " << to_string(op) << " pieces " << pieces << " at " << i;
            ASSERT_EQ(0, std::memcmp(&want[i], last + i, sizeof(Stored)));
        }
    }
}

TEST(ReduceTree, EqualsThePlainTreeBitForBit) {
    for (const std::size_t pieces : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 13U}) {
        for (const std::size_t count : {1U, 255U, 1030U}) {
            for (const ReduceOp op :
                 {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max, ReduceOp::avg}) {
                for (const DataType type : {DataType::f64,
                                            DataType::f32,
                                            DataType::f16,
                                            DataType::bf16,
                                            DataType::i32,
                                            DataType::i64,
                                            DataType::u8}) {
                    with_type_and_op(
                        type, op, [&]<DataType t, ReduceOp o>() { compare<t, o>(pieces, count); });
                }
            }
        }
    }
}

}  // namespace
}  // namespace mpitrain::collectives
