#pragma once

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <cstddef>
#include <string_view>
#include <utility>

#include "mpitrain/base/result.hpp"

namespace char_lm {

inline mpitrain::Result<void> cuda_checked(cudaError_t code, std::string_view call) {
    if (code != cudaSuccess) {
        return mpitrain::Error(mpitrain::ErrorCode::unavailable,
                               fmt::format("{} failed: {}", call, cudaGetErrorString(code)));
    }
    return {};
}

// An array on the GPU that was current when it grew.
template <typename T>
class CudaArray {
  public:
    CudaArray() = default;
    CudaArray(const CudaArray&) = delete;
    CudaArray& operator=(const CudaArray&) = delete;
    ~CudaArray() { cudaFree(data_); }

    [[nodiscard]] T* data() { return data_; }
    // At least that many elements. What it held is lost where it grows; nothing enqueued may then
    // still use it.
    mpitrain::Result<void> grow(std::size_t count) {
        if (count <= count_) {
            return {};
        }
        cudaFree(std::exchange(data_, nullptr));
        count_ = 0;
        void* memory = nullptr;
        MPITRAIN_TRY_VOID(cuda_checked(cudaMalloc(&memory, count * sizeof(T)), "cudaMalloc"));
        data_ = static_cast<T*>(memory);
        count_ = count;
        return {};
    }

  private:
    T* data_ = nullptr;
    std::size_t count_ = 0;
};

// Enqueued; a host side that is not pinned is read or written before it returns.
inline mpitrain::Result<void> cuda_copy(void* to,
                                        const void* from,
                                        std::size_t bytes,
                                        cudaStream_t stream) {
    return cuda_checked(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream),
                        "cudaMemcpyAsync");
}

}  // namespace char_lm
