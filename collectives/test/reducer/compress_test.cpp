#include "reducer/compress.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace mpitrain::collectives {
namespace {

TEST(Compress, LosesNothingOverTheSteps) {
    for (const Compression how : {Compression::bf16, Compression::f16}) {
        const std::vector<float> value{0.1F, -3.14159F, 1e-3F, 1000.3F};
        std::vector<float> kept(value.size());
        std::vector<std::uint16_t> sent(value.size());
        std::vector<float> received(value.size());
        std::vector<double> total(value.size());
        constexpr int steps = 1000;
        for (int step = 0; step < steps; ++step) {
            compress(value.data(), kept.data(), sent.data(), value.size(), how);
            decompress(sent.data(), received.data(), value.size(), how);
            for (std::size_t i = 0; i < value.size(); ++i) {
                total[i] += static_cast<double>(received[i]);
            }
        }
        for (std::size_t i = 0; i < value.size(); ++i) {
            const double want = steps * static_cast<double>(value[i]);
            EXPECT_NEAR(total[i], want, std::abs(want) * 1e-4);
            // Rounded alone it would be off by far more.
            EXPECT_NE(received[i], value[i]);
        }
    }
}

TEST(Compress, DoesNotKeepWhatIsNotFinite) {
    const std::vector<float> value{1e30F, std::numeric_limits<float>::quiet_NaN()};
    std::vector<float> kept(2);
    std::vector<std::uint16_t> sent(2);
    compress(value.data(), kept.data(), sent.data(), 2, Compression::f16);
    EXPECT_EQ(kept, (std::vector<float>{0, 0}));
    std::vector<float> received(2);
    decompress(sent.data(), received.data(), 2, Compression::f16);
    EXPECT_TRUE(std::isinf(received[0]));
    EXPECT_TRUE(std::isnan(received[1]));
}

}  // namespace
}  // namespace mpitrain::collectives
