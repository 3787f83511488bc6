#include <cuda_runtime_api.h>

#include "device_slab.hpp"

namespace mpitrain::checkpoint::bench {
namespace {

Result<void> done(cudaError_t code) {
    if (code == cudaSuccess) {
        return {};
    }
    return Error(code == cudaErrorMemoryAllocation ? ErrorCode::resource_exhausted
                                                   : ErrorCode::unavailable,
                 cudaGetErrorString(code))
        .at("the GPU");
}

}  // namespace

Result<std::unique_ptr<DeviceSlab>> DeviceSlab::make(std::size_t size_bytes) {
    void* memory = nullptr;
    MPITRAIN_TRY_VOID(done(cudaMalloc(&memory, size_bytes)));
    return std::make_unique<DeviceSlab>(std::span(static_cast<std::byte*>(memory), size_bytes));
}

DeviceSlab::~DeviceSlab() {
    cudaFree(bytes_.data());
}

Result<void> DeviceSlab::fill_from(std::span<const std::byte> host) const {
    return done(cudaMemcpy(bytes_.data(), host.data(), host.size(), cudaMemcpyHostToDevice));
}

Result<void> DeviceSlab::copy_to(std::span<std::byte> host) const {
    return done(cudaMemcpy(host.data(), bytes_.data(), host.size(), cudaMemcpyDeviceToHost));
}

}  // namespace mpitrain::checkpoint::bench
