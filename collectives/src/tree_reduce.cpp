#include "tree_reduce.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "mpitrain/base/assert.hpp"
#include "reduce_element.hpp"

namespace mpitrain::collectives {

namespace {

constexpr std::size_t block_elements = 256;  // all levels of the tree stay in the first-level cache
constexpr std::size_t levels_max = 32;

template <DataType type, ReduceOp op>
struct Tree {
    using Stored = typename Format<type>::Stored;
    using Wide = WideOf<type, op>;
    using Block = std::array<Wide, block_elements>;

    static void load(Block& block, const void* piece, std::size_t offset, std::size_t count) {
        const auto* stored = static_cast<const Stored*>(piece) + offset;
        for (std::size_t i = 0; i < count; ++i) {
            block[i] = static_cast<Wide>(Format<type>::load(stored[i]));
        }
    }

    static void merge(Block& into, const Block& from, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            into[i] = combine<op>(into[i], from[i]);
        }
    }

    // The stack of partial results is a binary counter: piece k merges as often as k + 1 has
    // trailing zeros, which is the tree. What is left at the end merges from the right.
    static void run(std::span<const void* const> pieces, std::size_t count, void* out) {
        std::array<Block, levels_max> stack;
        for (std::size_t offset = 0; offset < count; offset += block_elements) {
            const std::size_t n = std::min(block_elements, count - offset);
            std::size_t depth = 0;
            for (std::size_t k = 0; k < pieces.size(); ++k) {
                load(stack[depth++], pieces[k], offset, n);
                for (auto merges = std::countr_zero(k + 1); merges > 0; --merges, --depth) {
                    merge(stack[depth - 2], stack[depth - 1], n);
                }
            }
            for (; depth > 1; --depth) {
                merge(stack[depth - 2], stack[depth - 1], n);
            }
            auto* stored = static_cast<Stored*>(out) + offset;
            const auto ranks = static_cast<int>(pieces.size());
            for (std::size_t i = 0; i < n; ++i) {
                using Narrow = typename Format<type>::Wide;
                const Wide result = finish<op>(stack[0][i], ranks);
                stored[i] = Format<type>::store(static_cast<Narrow>(result));
            }
        }
    }
};

}  // namespace

void reduce_tree(
    std::span<const void* const> pieces, std::size_t count, DataType type, ReduceOp op, void* out) {
    MPITRAIN_ASSERT(!pieces.empty() && pieces.size() < (std::size_t{1} << (levels_max - 1)));
    with_type_and_op(
        type, op, [&]<DataType t, ReduceOp o>() { Tree<t, o>::run(pieces, count, out); });
}

void reduce_pair(const void* from, void* into, std::size_t count, DataType type, ReduceOp op) {
    with_type_and_op(type, op, [&]<DataType t, ReduceOp o>() {
        using F = Format<t>;
        const auto* source = static_cast<const typename F::Stored*>(from);
        auto* target = static_cast<typename F::Stored*>(into);
        for (std::size_t i = 0; i < count; ++i) {
            target[i] = F::store(combine<o>(F::load(target[i]), F::load(source[i])));
        }
    });
}

}  // namespace mpitrain::collectives
