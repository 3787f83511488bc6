#include "mpitrain/checkpoint/cuda_memory.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <vector>

#include "cuda_double.hpp"
#include "mpitrain/checkpoint/checkpointer.hpp"

namespace mpitrain::checkpoint {
namespace {

namespace fs = std::filesystem;

std::vector<float> disguised(std::vector<float> values) {
    auto* bytes = reinterpret_cast<std::byte*>(values.data());
    std::transform(bytes, bytes + values.size() * sizeof(float), bytes, [](std::byte byte) {
        return byte ^ test::disguise;
    });
    return values;
}

class CudaMemory : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "mpitrain-cuda-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        root = pattern;
        std::iota(host.begin(), host.end(), 1.0F);
        std::iota(other.begin(), other.end(), 7.0F);
        test::cuda_double() = {};
    }
    void TearDown() override { fs::remove_all(root); }

    std::vector<SaveTensor> tensors(const std::vector<float>& on_gpu) const {
        std::vector<SaveTensor> all = {save_from("gpu", {on_gpu.size()}, on_gpu.data()),
                                       save_from("host", {other.size()}, other.data())};
        all.front().on_device = true;
        return all;
    }

    fs::path root;
    std::vector<float> host = std::vector<float>(3'000'003);
    std::vector<float> other = std::vector<float>(1001);
    std::unique_ptr<Peers> peer = single_peer();
};

TEST_F(CudaMemory, GoesToTheDiskAndBack) {
    {
        auto gpu = open_cuda_memory(0);
        ASSERT_TRUE(gpu) << gpu.error().text();
        auto checkpoints =
            Checkpointer::open({.directory = root.string(), .device = gpu->get()}, *peer);
        ASSERT_TRUE(checkpoints) << checkpoints.error().text();
        EXPECT_GT(test::page_locked_bytes(), 0U);
        std::vector<float> on_gpu = disguised(host);
        ASSERT_TRUE((*checkpoints)->save(1, tensors(on_gpu)));
        EXPECT_EQ(test::cuda_double().marked, 1);
        EXPECT_EQ(test::cuda_double().awaited, 1);
        ASSERT_TRUE((*checkpoints)->save_async(2, tensors(on_gpu)));
        std::fill(on_gpu.begin(), on_gpu.end(), 0.0F);
        ASSERT_TRUE((*checkpoints)->wait(std::chrono::minutes(1)));
        for (const char* step : {"step-1", "step-2"}) {
            std::vector<float> onto_host(host.size());
            std::vector<float> onto_gpu(host.size());
            const std::string path = (root / step).string();
            std::vector<LoadTensor> into = {load_into("gpu", {host.size()}, onto_host.data())};
            ASSERT_TRUE((*checkpoints)->load(path, into));
            EXPECT_EQ(onto_host, host);
            into = {load_into("gpu", {host.size()}, onto_gpu.data())};
            into.front().on_device = true;
            ASSERT_TRUE((*checkpoints)->load(path, into));
            EXPECT_EQ(disguised(onto_gpu), host);
        }
    }
    EXPECT_EQ(test::cuda_double().open, 0);
    EXPECT_EQ(test::page_locked_bytes(), 0U);
}

TEST_F(CudaMemory, SaysWhatIsWrong) {
    const auto none = open_cuda_memory(7);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), ErrorCode::invalid_argument);
    EXPECT_EQ(none.error().what(), "CUDA cannot choose GPU 7: invalid device ordinal");
    auto without = Checkpointer::open({.directory = root.string()}, *peer);
    const std::vector<float> on_gpu = disguised(host);
    const auto refused = (*without)->save(1, tensors(on_gpu));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().text(),
              "tensor 'gpu': it is said to be on a device (open the checkpointer with that "
              "device)");
    without->reset();
    const auto gpu = open_cuda_memory(0);
    auto checkpoints =
        Checkpointer::open({.directory = root.string(), .device = gpu->get()}, *peer);
    test::cuda_double().fails = true;
    const auto failed = (*checkpoints)->save(1, tensors(on_gpu));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code(), ErrorCode::unavailable);
    test::cuda_double().fails = false;
    EXPECT_TRUE((*checkpoints)->save(1, tensors(on_gpu)));
}

}  // namespace
}  // namespace mpitrain::checkpoint
