#include "nccl/cuda_device.hpp"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "reference.hpp"
#include "tree_reduce.hpp"

namespace mpitrain::collectives {
namespace {

using testing::input_of;

// Null where there is no GPU, which is how most machines build and test this.
std::unique_ptr<Device> gpu() {
    auto device = open_cuda_device(0, nullptr);
    return device ? *std::move(device) : nullptr;
}

template <typename T>
class CudaDevice : public ::testing::Test {};
using Elements =
    ::testing::Types<double, float, Float16, BFloat16, std::int32_t, std::int64_t, std::uint8_t>;
TYPED_TEST_SUITE(CudaDevice, Elements);

TYPED_TEST(CudaDevice, CombinesToTheBitsOfTheHost) {
    const auto device = gpu();
    if (!device) {
        GTEST_SKIP() << "no GPU here";
    }
    constexpr std::size_t count = 100003;
    constexpr std::size_t bytes = count * sizeof(TypeParam);
    for (const auto op :
         {ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max, ReduceOp::avg}) {
        for (int ranks = 1; ranks <= 9; ++ranks) {
            const auto all = static_cast<std::size_t>(ranks) * bytes;
            auto* memory = device->allocate(all).value();
            std::vector<std::vector<TypeParam>> inputs;
            std::vector<const void*> pieces;
            for (int r = 0; r < ranks; ++r) {
                inputs.push_back(input_of<TypeParam>(r, count, op));
                std::byte* place = memory + static_cast<std::size_t>(r) * bytes;
                ASSERT_EQ(cudaMemcpy(place, inputs.back().data(), bytes, cudaMemcpyHostToDevice),
                          cudaSuccess);
            }
            for (const auto& input : inputs) {
                pieces.push_back(input.data());
            }
            std::vector<TypeParam> host(count);
            reduce_tree(pieces, count, data_type_of<TypeParam>, op, host.data());
            std::byte* own = memory + static_cast<std::size_t>(ranks - 1) * bytes;
            const Pieces on_device{memory, bytes, ranks - 1, own, ranks};
            ASSERT_TRUE(device->combine(on_device, count, data_type_of<TypeParam>, op, own));
            ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
            std::vector<TypeParam> back(count);
            ASSERT_EQ(cudaMemcpy(back.data(), own, bytes, cudaMemcpyDeviceToHost), cudaSuccess);
            EXPECT_EQ(0, std::memcmp(back.data(), host.data(), bytes))
                << to_string(op) << ' ' << ranks;
            device->release(memory);
        }
    }
}

TEST(OpenCudaDevice, SaysThatThereIsNoSuchGpu) {
    const auto device = open_cuda_device(4096, nullptr);
    ASSERT_FALSE(device);
    const ErrorCode code = device.error().code();
    EXPECT_TRUE(code == ErrorCode::invalid_argument || code == ErrorCode::unavailable)
        << device.error().text();
    EXPECT_NE(device.error().what().find("GPU 4096"), std::string::npos);
}

}  // namespace
}  // namespace mpitrain::collectives
