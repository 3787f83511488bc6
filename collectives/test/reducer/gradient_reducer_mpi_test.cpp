#include "mpitrain/collectives/gradient_reducer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <thread>

#include "mpitrain/collectives/mpi_interop.hpp"

namespace mpitrain::collectives {
namespace {

Communicator world() {
    auto opened = communicator_from_mpi(MPI_COMM_WORLD, {.deadline = std::chrono::seconds(20)});
    EXPECT_TRUE(opened) << opened.error().text();
    return *std::move(opened);
}

// Parameters of many sizes in one piece of memory, or each in its own.
struct Gradients {
    explicit Gradients(bool in_one_piece) {
        std::size_t begin = 0;
        for (const std::size_t count : counts) {
            if (!in_one_piece) {
                begin += 3;  // a gap
            }
            begins.push_back(begin);
            begin += count;
        }
        memory.resize(begin);
    }
    [[nodiscard]] std::vector<Buffer> views() {
        std::vector<Buffer> all;
        for (std::size_t p = 0; p < counts.size(); ++p) {
            all.emplace_back(&memory[begins[p]], counts[p], DataType::f32);
        }
        return all;
    }
    void fill(int rank, int step) {
        std::minstd_rand random(static_cast<unsigned>(rank * 1000 + step + 1));
        std::uniform_real_distribution<float> wide(-100, 100);
        for (float& value : memory) {
            value = wide(random);
        }
    }
    std::vector<std::size_t> counts{1, 3000, 0, 70000, 5, 1 << 18, 12345};
    std::vector<std::size_t> begins;
    std::vector<float> memory;
};

// What one allreduce over all of it gives.
std::vector<float> whole_sum(Communicator& ranks, Gradients gradients, int step, ReduceOp op) {
    gradients.fill(ranks.rank(), step);
    EXPECT_TRUE(ranks.allreduce(gradients.memory, op));
    return gradients.memory;
}

bool same(const Gradients& a, const std::vector<float>& b) {
    bool equal = true;
    for (std::size_t p = 0; p < a.counts.size(); ++p) {
        equal =
            equal &&
            std::memcmp(&a.memory[a.begins[p]], &b[a.begins[p]], a.counts[p] * sizeof(float)) == 0;
    }
    return equal;
}

TEST(GradientReducer, GivesTheBitsOfOneAllreduceWhateverTheTiming) {
    Communicator ranks = world();
    std::minstd_rand random(static_cast<unsigned>(ranks.rank()) + 99);
    for (const bool in_one_piece : {true, false}) {
        for (const bool overlap : {true, false}) {
            Gradients gradients(in_one_piece);
            const auto views = gradients.views();
            auto reducer =
                GradientReducer::open(ranks, views, {.bucket_bytes = 300'000, .overlap = overlap});
            ASSERT_TRUE(reducer) << reducer.error().text();
            EXPECT_GE(reducer->bucket_count(), 3U);
            for (int step = 0; step < 25; ++step) {
                const auto want = whole_sum(ranks, gradients, step, ReduceOp::avg);
                gradients.fill(ranks.rank(), step);
                for (std::size_t p = views.size(); p > 0; --p) {
                    std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
                    reducer->ready(p - 1);
                }
                ASSERT_TRUE(reducer->finish());
                ASSERT_TRUE(same(gradients, want)) << in_one_piece << overlap << step;
            }
        }
    }
}

TEST(GradientReducer, TakesParametersInAnyOrder) {
    Communicator ranks = world();
    Gradients gradients(true);
    auto reducer =
        GradientReducer::open(ranks, gradients.views(), {.op = ReduceOp::sum, .bucket_bytes = 100});
    ASSERT_TRUE(reducer);
    const auto want = whole_sum(ranks, gradients, 1, ReduceOp::sum);
    gradients.fill(ranks.rank(), 1);
    for (std::size_t i = 0; i < gradients.counts.size(); ++i) {  // another order on each rank
        reducer->ready((i + static_cast<std::size_t>(ranks.rank())) % gradients.counts.size());
    }
    ASSERT_TRUE(reducer->finish());
    EXPECT_TRUE(same(gradients, want));
}

TEST(GradientReducer, CountsAnUnusedParameterAsZero) {
    Communicator ranks = world();
    Gradients gradients(true);
    auto reducer = GradientReducer::open(ranks, gradients.views(), {.op = ReduceOp::sum});
    ASSERT_TRUE(reducer);
    std::fill(gradients.memory.begin(), gradients.memory.end(), 2.0F);
    for (std::size_t p = 0; p < gradients.counts.size(); ++p) {
        // 1 is used by nobody, 3 by rank 0 alone, the rest by all.
        if (p != 1 && (p != 3 || ranks.rank() == 0)) {
            reducer->ready(p);
        }
    }
    ASSERT_TRUE(reducer->finish());
    EXPECT_EQ(gradients.memory[gradients.begins[1]], 0.0F);
    EXPECT_EQ(gradients.memory[gradients.begins[3]], 2.0F);
    EXPECT_EQ(gradients.memory[gradients.begins[5]], 2.0F * static_cast<float>(ranks.size()));
    EXPECT_FALSE(reducer->used(1));
    EXPECT_TRUE(reducer->used(3));
}

TEST(GradientReducer, AccumulatesUntilReadyIsSaid) {
    Communicator ranks = world();
    Gradients gradients(true);
    auto reducer = GradientReducer::open(ranks, gradients.views(), {.op = ReduceOp::sum});
    ASSERT_TRUE(reducer);
    for (int step = 0; step < 2; ++step) {
        std::fill(gradients.memory.begin(), gradients.memory.end(), 0.0F);
        for (int batch = 1; batch <= 3; ++batch) {
            for (float& value : gradients.memory) {
                value += static_cast<float>(batch);
            }
        }
        for (std::size_t p = 0; p < gradients.counts.size(); ++p) {
            reducer->ready(p);
        }
        ASSERT_TRUE(reducer->finish());
        EXPECT_EQ(gradients.memory[0], 6.0F * static_cast<float>(ranks.size()));
    }
}

TEST(GradientReducer, LosesNothingToCompressionOverTheSteps) {
    Communicator ranks = world();
    for (const Compression how : {Compression::bf16, Compression::f16}) {
        Gradients gradients(false);
        auto reducer = GradientReducer::open(ranks, gradients.views(), {.compression = how});
        ASSERT_TRUE(reducer);
        double total = 0;
        float last = 0;
        constexpr int steps = 300;
        for (int step = 0; step < steps; ++step) {
            std::fill(gradients.memory.begin(), gradients.memory.end(), 0.3001F);
            for (std::size_t p = 0; p < gradients.counts.size(); ++p) {
                reducer->ready(p);
            }
            ASSERT_TRUE(reducer->finish());
            last = gradients.memory[gradients.begins[5] + 17];
            total += static_cast<double>(last);
        }
        EXPECT_NEAR(total / steps, 0.3001, 0.3001 * 1e-4);
        EXPECT_EQ(last,
                  how == Compression::bf16 ? static_cast<float>(BFloat16(last))
                                           : static_cast<float>(Float16(last)));
    }
}

TEST(GradientReducer, RefusesWhatItCannotDo) {
    Communicator ranks = world();
    std::vector<float> f(4);
    std::vector<double> d(4);
    std::vector<std::int32_t> i(4);
    const auto code = [&](std::vector<Buffer> gradients, GradientReducerOptions options) {
        const auto reducer = GradientReducer::open(ranks, gradients, options);
        return reducer ? ErrorCode::internal : reducer.error().code();
    };
    const auto invalid = ErrorCode::invalid_argument;
    EXPECT_EQ(invalid, code({}, {}));
    EXPECT_EQ(invalid, code({Buffer(f), Buffer(d)}, {}));
    EXPECT_EQ(invalid, code({Buffer(i)}, {}));
    EXPECT_EQ(invalid, code({Buffer(f)}, {.op = ReduceOp::max}));
    EXPECT_EQ(invalid, code({Buffer(d)}, {.compression = Compression::bf16}));
    EXPECT_EQ(invalid, code({Buffer(nullptr, 4, DataType::f32)}, {}));
}

TEST(GradientReducer, GivesUpWhenItIsDestroyedInTheMiddleOfAStep) {
    Communicator ranks = world();
    if (ranks.size() == 1) {
        return;
    }
    const auto begin = std::chrono::steady_clock::now();
    {
        std::vector<float> first(1000, 1.0F);
        std::vector<float> second(1000, 1.0F);
        const std::vector<Buffer> gradients{Buffer(first), Buffer(second)};
        auto reducer = GradientReducer::open(ranks, gradients, {.bucket_bytes = 4000});
        ASSERT_TRUE(reducer);
        reducer->ready(1);
        if (ranks.rank() != 0) {
            reducer->ready(0);
            const auto finished = reducer->finish();
            ASSERT_FALSE(finished);
            EXPECT_EQ(finished.error().code(), ErrorCode::unavailable);
        }
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
    EXPECT_TRUE(ranks.barrier());
}

TEST(GradientReducer, SaysWhenReadyWasMisused) {
    Communicator ranks = world();
    std::vector<float> values(4, 1.0F);
    const std::vector<Buffer> gradients{Buffer(values)};
    auto reducer = GradientReducer::open(ranks, gradients, {.op = ReduceOp::sum});
    ASSERT_TRUE(reducer);
    reducer->ready(0);
    reducer->ready(0);
    EXPECT_EQ(reducer->finish().error().code(), ErrorCode::invalid_argument);
    reducer->ready(7);
    EXPECT_EQ(reducer->finish().error().code(), ErrorCode::invalid_argument);
    reducer->ready(0);
    EXPECT_TRUE(reducer->finish());
}

}  // namespace
}  // namespace mpitrain::collectives
