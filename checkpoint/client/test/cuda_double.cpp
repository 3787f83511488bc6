#include "cuda_double.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>
#include <vector>

// The calls of CUDA's runtime that saves and loads make, without a GPU. A test is one thread at a
// time in here.
namespace mpitrain::checkpoint::test {
namespace {

struct Copy {
    std::byte* to;
    const std::byte* from;
    std::size_t bytes;
};

CudaDouble& state() {
    static CudaDouble one;
    return one;
}

std::vector<Copy>& waiting() {
    static std::vector<Copy> copies;
    return copies;
}

std::map<void*, std::size_t>& page_locked() {
    static std::map<void*, std::size_t> ranges;
    return ranges;
}

}  // namespace

CudaDouble& cuda_double() {
    return state();
}

std::size_t page_locked_bytes() {
    std::size_t sum = 0;
    for (const auto& [memory, bytes] : page_locked()) {
        sum += bytes;
    }
    return sum;
}

}  // namespace mpitrain::checkpoint::test

namespace test = mpitrain::checkpoint::test;

extern "C" {

const char* cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorInvalidDevice ? "invalid device ordinal" : "an error of the double";
}
cudaError_t cudaSetDevice(int device) {
    return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    ++test::state().open;
    *stream = reinterpret_cast<cudaStream_t>(std::malloc(1));
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    --test::state().open;
    std::free(stream);
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    ++test::state().open;
    *event = reinterpret_cast<cudaEvent_t>(std::malloc(1));
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    --test::state().open;
    std::free(event);
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) {
    ++test::state().marked;
    return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
    ++test::state().awaited;
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(
    void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
    test::waiting().push_back(
        {static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes});
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
    for (const test::Copy& copy : std::exchange(test::waiting(), {})) {
        std::transform(copy.from, copy.from + copy.bytes, copy.to, [](std::byte byte) {
            return byte ^ test::disguise;
        });
    }
    return test::state().fails ? cudaErrorIllegalAddress : cudaSuccess;
}
cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
    test::page_locked()[memory] = bytes;
    return cudaSuccess;
}
cudaError_t cudaHostUnregister(void* memory) {
    return test::page_locked().erase(memory) == 1 ? cudaSuccess : cudaErrorHostMemoryNotRegistered;
}

}  // extern "C"
