#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "mpitrain/collectives/types.hpp"
#include "pieces.hpp"

namespace mpitrain::collectives {

// reduce_tree() on a GPU, enqueued on `stream`: the same bits as on the host, since both compute
// each element by the same operations in the same order.
cudaError_t reduce_tree_cuda(const Pieces& pieces,
                             std::size_t count,
                             DataType type,
                             ReduceOp op,
                             void* out,
                             cudaStream_t stream);

}  // namespace mpitrain::collectives
