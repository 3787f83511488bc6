#include "tree_reduce.hpp"

#include <array>

#include "mpitrain/base/assert.hpp"
#include "reduce_element.hpp"

namespace mpitrain::collectives {

namespace {

constexpr std::size_t block_elements = 256;  // all levels of the tree stay in the first-level cache
constexpr std::size_t levels_max = 32;

#define MPITRAIN_INLINE [[gnu::always_inline]] static inline

// Everything is inlined into the variants below, so that each becomes code for its own processor.
// Loops go from memory into a block on the stack: there no output can be one of the inputs, which
// is what keeps a compiler from making vectors of them.
template <DataType type, ReduceOp op>
struct Tree {
    using Stored = typename Format<type>::Stored;
    using Wide = WideOf<type, op>;
    using Block = std::array<Wide, block_elements>;

    MPITRAIN_INLINE Wide load(const Stored* piece, std::size_t index) {
        return static_cast<Wide>(Format<type>::load(piece[index]));
    }

    MPITRAIN_INLINE void load_block(Block& block,
                                    const void* piece,
                                    std::size_t at,
                                    std::size_t n) {
        const auto* stored = static_cast<const Stored*>(piece) + at;
        for (std::size_t i = 0; i < n; ++i) {
            block[i] = load(stored, i);
        }
    }

    MPITRAIN_INLINE void load_pair(
        Block& block, const void* left, const void* right, std::size_t at, std::size_t n) {
        const auto* a = static_cast<const Stored*>(left) + at;
        const auto* b = static_cast<const Stored*>(right) + at;
        for (std::size_t i = 0; i < n; ++i) {
            block[i] = combine<op>(load(a, i), load(b, i));
        }
    }

    MPITRAIN_INLINE void merge(Block& into, const Block& from, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) {
            into[i] = combine<op>(into[i], from[i]);
        }
    }

    MPITRAIN_INLINE void store(const Block& block, int ranks, void* out, std::size_t n) {
        using Narrow = typename Format<type>::Wide;
        auto* stored = static_cast<Stored*>(out);
        for (std::size_t i = 0; i < n; ++i) {
            stored[i] = Format<type>::store(static_cast<Narrow>(finish<op>(block[i], ranks)));
        }
    }

    // Pieces are taken two by two. The stack of partial results is a binary counter: pair k merges
    // as often as k + 1 has trailing zeros, which is the tree. What is left merges from the right.
    MPITRAIN_INLINE void run(const void* const* pieces,
                             std::size_t piece_count,
                             std::size_t count,
                             void* out) {
        std::array<Block, levels_max> stack;
        const auto ranks = static_cast<int>(piece_count);
        for (std::size_t at = 0; at < count; at += block_elements) {
            const std::size_t n = count - at < block_elements ? count - at : block_elements;
            std::size_t depth = 0;
            for (std::size_t pair = 0; 2 * pair + 1 < piece_count; ++pair) {
                load_pair(stack[depth++], pieces[2 * pair], pieces[2 * pair + 1], at, n);
                for (std::size_t k = pair + 1; k % 2 == 0; k /= 2, --depth) {
                    merge(stack[depth - 2], stack[depth - 1], n);
                }
            }
            if (piece_count % 2 != 0) {
                load_block(stack[depth++], pieces[piece_count - 1], at, n);
            }
            for (; depth > 1; --depth) {
                merge(stack[depth - 2], stack[depth - 1], n);
            }
            store(stack[0], ranks, static_cast<Stored*>(out) + at, n);
        }
    }
};

#undef MPITRAIN_INLINE

// One per kind of processor; the order of operations, and so every bit, is the same in all.
using Variant = void (*)(const void* const*, std::size_t, std::size_t, void*);

template <DataType type, ReduceOp op>
void run_anywhere(const void* const* pieces, std::size_t piece_count, std::size_t n, void* out) {
    Tree<type, op>::run(pieces, piece_count, n, out);
}

#ifdef __x86_64__
template <DataType type, ReduceOp op>
[[gnu::target("avx2")]] void run_avx2(const void* const* pieces,
                                      std::size_t piece_count,
                                      std::size_t n,
                                      void* out) {
    Tree<type, op>::run(pieces, piece_count, n, out);
}

Variant variant_of(DataType type, ReduceOp op) {
    return with_type_and_op(type, op, []<DataType t, ReduceOp o>() -> Variant {
        return __builtin_cpu_supports("avx2") != 0 ? &run_avx2<t, o> : &run_anywhere<t, o>;
    });
}
#else
Variant variant_of(DataType type, ReduceOp op) {
    return with_type_and_op(
        type, op, []<DataType t, ReduceOp o>() -> Variant { return &run_anywhere<t, o>; });
}
#endif

}  // namespace

void reduce_tree(
    std::span<const void* const> pieces, std::size_t count, DataType type, ReduceOp op, void* out) {
    MPITRAIN_ASSERT(!pieces.empty() && pieces.size() < (std::size_t{1} << (levels_max - 1)));
    variant_of(type, op)(pieces.data(), pieces.size(), count, out);
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
