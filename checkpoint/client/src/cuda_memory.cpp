#include "mpitrain/checkpoint/cuda_memory.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <string_view>

namespace mpitrain::checkpoint {
namespace {

Result<void> cuda_done(cudaError_t code, std::string_view what) {
    if (code == cudaSuccess) {
        return {};
    }
    Error error(ErrorCode::unavailable,
                fmt::format("CUDA cannot {}: {}", what, cudaGetErrorString(code)));
    switch (code) {
        case cudaErrorMemoryAllocation:
            return Error(ErrorCode::resource_exhausted, error.what());
        case cudaErrorInvalidDevice:
            return Error(ErrorCode::invalid_argument, error.what());
        case cudaErrorNoDevice:
        case cudaErrorInsufficientDriver:
            return std::move(error).mend("see nvidia-smi");
        default:
            return error;
    }
}

// Copies name their memory by address alone, so any thread may ask for them.
class CudaMemory final : public DeviceMemory {
  public:
    explicit CudaMemory(cudaStream_t training) : training_(training) {}
    CudaMemory(const CudaMemory&) = delete;
    CudaMemory& operator=(const CudaMemory&) = delete;
    ~CudaMemory() override {
        if (computed_ != nullptr) {
            cudaEventDestroy(computed_);
        }
        if (stream_ != nullptr) {
            cudaStreamDestroy(stream_);
        }
    }

    Result<void> open() {
        MPITRAIN_TRY_VOID(cuda_done(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
                                    "open a stream on the GPU"));
        return cuda_done(cudaEventCreateWithFlags(&computed_, cudaEventDisableTiming),
                         "make an event");
    }

    Result<void> await_training() override {
        MPITRAIN_TRY_VOID(
            cuda_done(cudaEventRecord(computed_, training_), "mark what is being computed"));
        return cuda_done(cudaStreamWaitEvent(stream_, computed_, 0),
                         "wait for what is being computed");
    }
    Result<void> to_host(std::span<std::byte> to, const std::byte* from) override {
        return cuda_done(
            cudaMemcpyAsync(to.data(), from, to.size(), cudaMemcpyDeviceToHost, stream_),
            "copy from the GPU");
    }
    Result<void> from_host(std::byte* to, std::span<const std::byte> from) override {
        return cuda_done(
            cudaMemcpyAsync(to, from.data(), from.size(), cudaMemcpyHostToDevice, stream_),
            "copy to the GPU");
    }
    Result<void> finish() override {
        return cuda_done(cudaStreamSynchronize(stream_), "copy to or from the GPU");
    }
    Result<void> pin(std::span<std::byte> memory) override {
        return cuda_done(cudaHostRegister(memory.data(), memory.size(), cudaHostRegisterPortable),
                         "page-lock memory");
    }
    void unpin(std::span<std::byte> memory) override { cudaHostUnregister(memory.data()); }

  private:
    cudaStream_t training_;
    cudaStream_t stream_ = nullptr;
    cudaEvent_t computed_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<DeviceMemory>> open_cuda_memory(std::optional<int> device,
                                                       void* training_stream) {
    if (device) {
        MPITRAIN_TRY_VOID(cuda_done(cudaSetDevice(*device), fmt::format("choose GPU {}", *device)));
    }
    auto memory = std::make_unique<CudaMemory>(static_cast<cudaStream_t>(training_stream));
    MPITRAIN_TRY_VOID(memory->open());
    return std::unique_ptr<DeviceMemory>(std::move(memory));
}

}  // namespace mpitrain::checkpoint
