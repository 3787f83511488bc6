#include <algorithm>

#include "nccl/tree_reduce_cuda.hpp"
#include "reduce_element.hpp"

namespace mpitrain::collectives {

namespace {

constexpr unsigned threads = 256;
constexpr std::size_t blocks_max = 4096;  // more elements than that are walked by each thread
constexpr int levels_max = 32;

// The stack of partial results is a binary counter, as in reduce_tree().
template <DataType type, ReduceOp op>
__global__ void combine_pieces(Pieces pieces, std::size_t count, void* out) {
    using Stored = typename Format<type>::Stored;
    using Narrow = typename Format<type>::Wide;
    using Wide = WideOf<type, op>;
    const std::size_t step = std::size_t{blockDim.x} * gridDim.x;
    for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
        Wide stack[levels_max];
        int depth = 0;
        for (int k = 0; k < pieces.ranks; ++k) {
            const void* piece = k == pieces.own ? pieces.own_data
                                                : pieces.received + std::size_t(k) * pieces.stride;
            const Stored stored = static_cast<const Stored*>(piece)[i];
            stack[depth++] = static_cast<Wide>(Format<type>::load(stored));
            for (int n = k + 1; n % 2 == 0; n /= 2, --depth) {
                stack[depth - 2] = combine<op>(stack[depth - 2], stack[depth - 1]);
            }
        }
        for (; depth > 1; --depth) {
            stack[depth - 2] = combine<op>(stack[depth - 2], stack[depth - 1]);
        }
        const Wide result = finish<op>(stack[0], pieces.ranks);
        static_cast<Stored*>(out)[i] = Format<type>::store(static_cast<Narrow>(result));
    }
}

}  // namespace

cudaError_t reduce_tree_cuda(const Pieces& pieces,
                             std::size_t count,
                             DataType type,
                             ReduceOp op,
                             void* out,
                             cudaStream_t stream) {
    const std::size_t blocks = std::min((count + threads - 1) / threads, blocks_max);
    with_type_and_op(type, op, [&]<DataType t, ReduceOp o>() {
        combine_pieces<t, o>
            <<<static_cast<unsigned>(blocks), threads, 0, stream>>>(pieces, count, out);
    });
    return cudaGetLastError();
}

}  // namespace mpitrain::collectives
