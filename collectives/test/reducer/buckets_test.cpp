#include "reducer/buckets.hpp"

#include <gtest/gtest.h>

namespace mpitrain::collectives {
namespace {

TEST(Buckets, GoFromTheLastParameterToTheFirst) {
    std::vector<float> memory(100);
    const std::vector<Buffer> gradients{Buffer(std::span(memory).subspan(0, 10)),
                                        Buffer(std::span(memory).subspan(10, 50)),
                                        Buffer(std::span(memory).subspan(60, 15)),
                                        Buffer(std::span(memory).subspan(75, 25))};
    const auto buckets = make_buckets(gradients, 40 * sizeof(float));
    ASSERT_EQ(buckets.size(), 3U);
    EXPECT_EQ(buckets[0].parameters, (std::vector<std::size_t>{3, 2}));
    EXPECT_EQ(buckets[1].parameters, (std::vector<std::size_t>{1}));  // larger than a bucket
    EXPECT_EQ(buckets[2].parameters, (std::vector<std::size_t>{0}));
    EXPECT_EQ(buckets[0].whole.data, &memory[60]);
    EXPECT_EQ(buckets[0].whole.count, 40U);
}

TEST(Buckets, ShrinkTowardsTheEndOfThePass) {
    std::vector<float> memory(64);
    std::vector<Buffer> gradients;
    for (std::size_t p = 0; p < memory.size(); ++p) {
        gradients.emplace_back(&memory[p], 1, DataType::f32);
    }
    std::vector<std::size_t> counts;
    for (const Bucket& bucket : make_buckets(gradients, 16 * sizeof(float))) {
        counts.push_back(bucket.count);
    }
    EXPECT_EQ(counts, (std::vector<std::size_t>{16, 16, 16, 8, 4, 2, 2}));
}

TEST(Buckets, KnowThatTheirParametersLieApart) {
    std::vector<float> memory(100);
    const std::vector<Buffer> gradients{Buffer(std::span(memory).subspan(50, 10)),
                                        Buffer(std::span(memory).subspan(10, 20))};
    const auto buckets = make_buckets(gradients, 1000);
    ASSERT_EQ(buckets.size(), 1U);
    EXPECT_EQ(buckets[0].count, 30U);
    EXPECT_EQ(buckets[0].whole.data, nullptr);
}

}  // namespace
}  // namespace mpitrain::collectives
