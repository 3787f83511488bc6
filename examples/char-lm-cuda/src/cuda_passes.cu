#include <algorithm>

#include "cuda_passes.hpp"

namespace char_lm {

namespace {

constexpr unsigned threads = 256;
constexpr std::size_t blocks_max = 65535;  // beyond that each thread makes several rounds

template <typename Body>
__global__ void each(std::size_t count, Body body) {
    const std::size_t step = std::size_t{blockDim.x} * gridDim.x;
    for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
        body(i);
    }
}

struct Enqueue {
    cudaStream_t stream;
    template <typename Body>
    void operator()(std::size_t count, const Body& body) const {
        if (count == 0) {
            return;  // CUDA refuses a grid of no blocks
        }
        const std::size_t blocks = std::min((count + threads - 1) / threads, blocks_max);
        each<<<static_cast<unsigned>(blocks), threads, 0, stream>>>(count, body);
    }
};

struct MoveParameters {
    CudaAdam all;
    AdamStep step;
    __device__ void operator()(std::size_t i) const {
        move_parameter(all.parameters[i], all.mean[i], all.square[i], all.gradient[i], step);
    }
};

}  // namespace

cudaError_t enqueue_forward(const PassLayout& at,
                            const PassArrays& in,
                            bool for_gradient,
                            cudaStream_t stream) {
    const Enqueue run{stream};
    forward(at, in, run);
    run(in.rows, PickTarget{in.targets, at.alphabet, in.output, in.picked, for_gradient});
    return cudaGetLastError();
}

cudaError_t enqueue_backward(const PassLayout& at,
                             const PassArrays& in,
                             const std::function<void(std::size_t tensor)>& completed,
                             cudaStream_t stream) {
    backward(at, in, Enqueue{stream}, completed);
    return cudaGetLastError();
}

cudaError_t enqueue_adam(const CudaAdam& adam,
                         float scale,
                         const AdamStep& step,
                         cudaStream_t stream) {
    const Enqueue run{stream};
    run(adam.count + 1, Scale{adam.gradient, scale});
    run(adam.count, MoveParameters{adam, step});
    return cudaGetLastError();
}

}  // namespace char_lm
