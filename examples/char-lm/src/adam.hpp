#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "functions.hpp"

namespace char_lm {

// What one step of Adam is made of, computed once for all parameters.
struct AdamStep {
    AdamStep(double learning_rate, std::uint64_t step);
    static constexpr float keep_mean = 0.9F;
    static constexpr float keep_square = 0.99F;
    float rate;
    float square_scale;
};

// Moves one parameter; also on a GPU, to the same bits.
CHAR_LM_HOST_DEVICE inline void move_parameter(
    float& parameter, float& mean, float& square, float gradient, const AdamStep& step) {
    constexpr float keep_mean = AdamStep::keep_mean;
    constexpr float keep_square = AdamStep::keep_square;
    constexpr float floor = 1e-8F;
    mean = keep_mean * mean + (1 - keep_mean) * gradient;
    square = keep_square * square + (1 - keep_square) * gradient * gradient;
    parameter -= step.rate * mean / (std::sqrt(square * step.square_scale) + floor);
}

// The Adam optimiser (Kingma and Ba, 2014) over one array of parameters.
class Adam {
  public:
    explicit Adam(std::size_t count) : mean_(count), square_(count) {}

    // Moves `parameters` against `gradient`. `step` counts from 1.
    void update(std::span<float> parameters,
                std::span<const float> gradient,
                double learning_rate,
                std::uint64_t step);

    // The running means of the gradient and of its square: all the state there is.
    [[nodiscard]] std::span<float> mean() { return mean_; }
    [[nodiscard]] std::span<float> square() { return square_; }

  private:
    std::vector<float> mean_;
    std::vector<float> square_;
};

}  // namespace char_lm
