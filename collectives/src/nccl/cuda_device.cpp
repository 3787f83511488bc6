#include "nccl/cuda_device.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "nccl/tree_reduce_cuda.hpp"

namespace mpitrain::collectives {

namespace {

Result<void> cuda_checked(cudaError_t code, std::string_view call) {
    if (code == cudaSuccess) {
        return {};
    }
    Error error(ErrorCode::unavailable,
                fmt::format("{} failed: {}", call, cudaGetErrorString(code)));
    switch (code) {
        case cudaErrorMemoryAllocation:
            return Error(ErrorCode::resource_exhausted, error.what()).mend("free some GPU memory");
        case cudaErrorInvalidDevice:
        case cudaErrorInvalidValue:
            return Error(ErrorCode::invalid_argument, error.what());
        case cudaErrorNoDevice:
        case cudaErrorInsufficientDriver:
            return std::move(error).mend("see nvidia-smi; without a GPU use the MPI backend");
        default:
            return error;
    }
}

class CudaDevice final : public Device {
  public:
    CudaDevice(cudaStream_t stream, bool owner) : stream_(stream), owner_(owner) {}
    CudaDevice(const CudaDevice&) = delete;
    CudaDevice& operator=(const CudaDevice&) = delete;
    ~CudaDevice() override {
        if (owner_) {
            cudaStreamDestroy(stream_);
        }
    }

    [[nodiscard]] void* stream() const override { return stream_; }
    Result<std::unique_ptr<Device>> another() const override {
        return open_cuda_device(std::nullopt, nullptr);
    }
    Result<std::byte*> allocate(std::size_t bytes) override {
        void* memory = nullptr;
        MPITRAIN_TRY_VOID(cuda_checked(cudaMalloc(&memory, bytes), "cudaMalloc"));
        return static_cast<std::byte*>(memory);
    }
    void release(std::byte* memory) override { cudaFree(memory); }
    Result<void> copy(void* to, const void* from, std::size_t bytes) override {
        return cuda_checked(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_),
                            "cudaMemcpyAsync");
    }
    Result<void> combine(
        const Pieces& pieces, std::size_t count, DataType type, ReduceOp op, void* out) override {
        if (count == 0) {
            return {};  // CUDA refuses a grid of no blocks
        }
        return cuda_checked(reduce_tree_cuda(pieces, count, type, op, out, stream_),
                            "the launch of a reduction");
    }
    Result<bool> idle() override {
        const cudaError_t code = cudaStreamQuery(stream_);
        if (code == cudaErrorNotReady) {
            return false;
        }
        MPITRAIN_TRY_VOID(cuda_checked(code, "a kernel on the communicator's stream"));
        return true;
    }

  private:
    cudaStream_t stream_;
    bool owner_;
};

}  // namespace

Result<std::unique_ptr<Device>> open_cuda_device(std::optional<int> device, void* stream) {
    if (device) {
        MPITRAIN_TRY_VOID(
            cuda_checked(cudaSetDevice(*device), fmt::format("choosing GPU {}", *device)));
    }
    auto* chosen = static_cast<cudaStream_t>(stream);
    if (chosen == nullptr) {
        MPITRAIN_TRY_VOID(cuda_checked(cudaStreamCreateWithFlags(&chosen, cudaStreamNonBlocking),
                                       "opening a stream on the GPU"));
    }
    return std::unique_ptr<Device>(std::make_unique<CudaDevice>(chosen, stream == nullptr));
}

}  // namespace mpitrain::collectives
