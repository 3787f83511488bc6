#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace char_lm {

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
