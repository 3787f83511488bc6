#include "adam.hpp"

#include <cmath>

namespace char_lm {

void Adam::update(std::span<float> parameters,
                  std::span<const float> gradient,
                  double learning_rate,
                  std::uint64_t step) {
    constexpr float keep_mean = 0.9F;
    constexpr float keep_square = 0.99F;
    constexpr float floor = 1e-8F;
    const auto steps = static_cast<double>(step);
    const double mean_bias = 1 - std::pow(static_cast<double>(keep_mean), steps);
    const double square_bias = 1 - std::pow(static_cast<double>(keep_square), steps);
    const auto rate = static_cast<float>(learning_rate / mean_bias);
    const auto square_scale = static_cast<float>(1 / square_bias);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        mean_[i] = keep_mean * mean_[i] + (1 - keep_mean) * gradient[i];
        square_[i] = keep_square * square_[i] + (1 - keep_square) * gradient[i] * gradient[i];
        parameters[i] -= rate * mean_[i] / (std::sqrt(square_[i] * square_scale) + floor);
    }
}

}  // namespace char_lm
