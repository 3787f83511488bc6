#include "adam.hpp"

namespace char_lm {

AdamStep::AdamStep(double learning_rate, std::uint64_t step) {
    const auto steps = static_cast<double>(step);
    const double mean_bias = 1 - std::pow(static_cast<double>(keep_mean), steps);
    const double square_bias = 1 - std::pow(static_cast<double>(keep_square), steps);
    rate = static_cast<float>(learning_rate / mean_bias);
    square_scale = static_cast<float>(1 / square_bias);
}

void Adam::update(std::span<float> parameters,
                  std::span<const float> gradient,
                  double learning_rate,
                  std::uint64_t step) {
    const AdamStep move(learning_rate, step);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        move_parameter(parameters[i], mean_[i], square_[i], gradient[i], move);
    }
}

}  // namespace char_lm
