#pragma once

#include <cstddef>
#include <span>

#include "mpitrain/collectives/types.hpp"

namespace mpitrain::collectives {

// out[i] = piece_0[i] op piece_1[i] op …, combined as a fixed binary tree over the index of the
// piece: neighbours first, ((0 1)(2 3))((4 5) 6). `out` may be one of the pieces. Each piece is
// read once; log2(pieces) small blocks on the stack.
void reduce_tree(
    std::span<const void* const> pieces, std::size_t count, DataType type, ReduceOp op, void* out);

// into[i] = into[i] op from[i], for libraries that combine two at a time. avg counts as sum.
void reduce_pair(const void* from, void* into, std::size_t count, DataType type, ReduceOp op);

}  // namespace mpitrain::collectives
