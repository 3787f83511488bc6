// A GradientReducer whose gradients live on (pretended) GPUs.
#include <gtest/gtest.h>

#include "mpitrain/collectives/gradient_reducer.hpp"
#include "nccl/fake_ranks.hpp"
#include "reference.hpp"

namespace mpitrain::collectives {
namespace {

using namespace testing;

constexpr CommunicatorOptions patient{.deadline = std::chrono::seconds(20)};

std::vector<float> tree_sum(int ranks, std::size_t begin, std::size_t count) {
    std::vector<std::vector<float>> inputs;
    std::vector<const void*> pieces;
    for (int r = 0; r < ranks; ++r) {
        inputs.push_back(input_of<float>(r, begin + count, ReduceOp::sum));
    }
    for (const auto& input : inputs) {
        pieces.push_back(input.data() + begin);
    }
    std::vector<float> result(count);
    reduce_tree(pieces, count, DataType::f32, ReduceOp::sum, result.data());
    return result;
}

// Three parameters, apart from each other in memory or side by side.
struct Gradients {
    explicit Gradients(bool apart) : memory(apart ? 1200 : 1000) {
        const std::size_t gap = apart ? 100 : 0;
        parts = {Buffer(&memory[0], 500, DataType::f32),
                 Buffer(&memory[500 + gap], 300, DataType::f32),
                 Buffer(&memory[800 + 2 * gap], 200, DataType::f32)};
    }
    void fill(int rank) {
        std::size_t at = 0;
        for (const Buffer& part : parts) {
            for (std::size_t i = 0; i < part.count; ++i) {
                static_cast<float*>(part.data)[i] = element_of<float>(rank, at++, ReduceOp::sum);
            }
        }
    }
    [[nodiscard]] std::vector<float> part(std::size_t index) const {
        const auto* begin = static_cast<const float*>(parts[index].data);
        return {begin, begin + parts[index].count};
    }
    std::vector<float> memory;
    std::vector<Buffer> parts;
};

TEST(DeviceReducer, GivesTheBitsOfTheRankTreeInEveryStep) {
    for (const bool apart : {false, true}) {
        with_ranks(3, patient, [&](Communicator& comm) {
            Gradients gradients(apart);
            FakeStream compute;
            auto reducer = GradientReducer::open(
                comm,
                gradients.parts,
                {.op = ReduceOp::sum, .bucket_bytes = 1600, .compute_stream = &compute});
            ASSERT_TRUE(reducer) << reducer.error().text();
            EXPECT_GT(reducer->bucket_count(), 1U);
            for (int step = 0; step < 3; ++step) {
                gradients.fill(comm.rank());
                for (const std::size_t p : {2U, 1U, 0U}) {
                    reducer->ready(p);
                }
                const auto finished = reducer->finish();
                ASSERT_TRUE(finished) << finished.error().text();
                EXPECT_EQ(gradients.part(0), tree_sum(3, 0, 500));
                EXPECT_EQ(gradients.part(1), tree_sum(3, 500, 300));
                EXPECT_EQ(gradients.part(2), tree_sum(3, 800, 200));
                EXPECT_TRUE(reducer->used(0));
            }
        });
    }
}

TEST(DeviceReducer, WaitsForTheComputationThatIsStillEnqueued) {
    with_ranks(2, patient, [](Communicator& comm) {
        Gradients gradients(false);
        FakeStream compute;
        auto reducer = GradientReducer::open(
            comm, gradients.parts, {.op = ReduceOp::sum, .compute_stream = &compute});
        ASSERT_TRUE(reducer);
        int looks = 0;
        compute.enqueue([&] {  // done only at the third look
            if (++looks < 3) {
                return false;
            }
            gradients.fill(comm.rank());
            return true;
        });
        for (const std::size_t p : {2U, 1U, 0U}) {
            reducer->ready(p);
        }
        EXPECT_LT(looks, 3) << "ready() has not waited";
        ASSERT_TRUE(reducer->finish());
        EXPECT_EQ(gradients.part(0), tree_sum(2, 0, 500));
    });
}

TEST(DeviceReducer, CountsWhatWasNotUsedAsZero) {
    with_ranks(2, patient, [](Communicator& comm) {
        Gradients gradients(true);
        FakeStream compute;
        auto reducer = GradientReducer::open(
            comm, gradients.parts, {.op = ReduceOp::sum, .compute_stream = &compute});
        ASSERT_TRUE(reducer);
        gradients.fill(comm.rank());
        reducer->ready(2);
        if (comm.rank() == 0) {
            reducer->ready(0);
        }
        ASSERT_TRUE(reducer->finish());
        EXPECT_EQ(gradients.part(0), input_of<float>(0, 500, ReduceOp::sum)) << "rank 0's alone";
        EXPECT_EQ(gradients.part(1), std::vector<float>(300, 0.0F));
        EXPECT_TRUE(reducer->used(0));
        EXPECT_FALSE(reducer->used(1));
        EXPECT_TRUE(reducer->used(2));
    });
}

TEST(DeviceReducer, EndsAtTheDeadlineWhenARankDoesNotFinish) {
    with_ranks(2, {.deadline = std::chrono::milliseconds(200)}, [](Communicator& comm) {
        Gradients gradients(false);
        FakeStream compute;
        auto reducer = GradientReducer::open(comm, gradients.parts, {.compute_stream = &compute});
        ASSERT_TRUE(reducer);
        if (comm.rank() == 1) {
            return;
        }
        const auto finished = reducer->finish();
        ASSERT_FALSE(finished);
        EXPECT_EQ(finished.error().code(), ErrorCode::deadline_exceeded);
    });
}

TEST(DeviceReducer, RefusesCompression) {
    with_ranks(1, patient, [](Communicator& comm) {
        Gradients gradients(false);
        const auto reducer =
            GradientReducer::open(comm, gradients.parts, {.compression = Compression::bf16});
        ASSERT_FALSE(reducer);
        EXPECT_EQ(reducer.error().code(), ErrorCode::unsupported);
    });
}

}  // namespace
}  // namespace mpitrain::collectives
