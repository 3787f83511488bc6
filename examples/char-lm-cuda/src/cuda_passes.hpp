#pragma once

#include <cuda_runtime_api.h>

#include <functional>

#include "adam.hpp"
#include "passes.hpp"

// The passes on a GPU, each enqueued on `stream`; the result is of the launches alone.
namespace char_lm {

cudaError_t enqueue_forward(const PassLayout& at,
                            const PassArrays& in,
                            bool for_gradient,
                            cudaStream_t stream);
cudaError_t enqueue_backward(const PassLayout& at,
                             const PassArrays& in,
                             const std::function<void(std::size_t tensor)>& completed,
                             cudaStream_t stream);
// Scales the gradient and the loss behind it, then moves `count` parameters.
struct CudaAdam {
    float* parameters;
    float* mean;
    float* square;
    float* gradient;
    std::size_t count;
};
cudaError_t enqueue_adam(const CudaAdam& adam,
                         float scale,
                         const AdamStep& step,
                         cudaStream_t stream);

}  // namespace char_lm
