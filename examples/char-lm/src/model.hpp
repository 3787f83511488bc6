#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "corpus.hpp"

namespace char_lm {

struct ModelShape {
    std::size_t alphabet = 0;
    std::size_t context = Corpus::context;
    std::size_t embedding = 16;  // numbers that stand for one character
    std::size_t hidden = 256;
};

// A part of the parameters that has a name and a shape.
struct Tensor {
    std::string name;
    std::size_t rows = 0;
    std::size_t columns = 0;
    std::size_t offset = 0;  // of its first element in Model::parameters()
    [[nodiscard]] std::size_t count() const { return rows * columns; }
};

// Predicts the next character from the last few: each is looked up in an embedding, the embeddings
// side by side go through a layer of tanh units, and a softmax over the alphabet follows.
// Real is float for training and double where the gradients are checked.
template <typename Real>
class Model {
  public:
    explicit Model(const ModelShape& shape);

    // Small random numbers, the same for the same seed and shape.
    void initialise(std::uint64_t seed);

    [[nodiscard]] std::span<Real> parameters() { return parameters_; }
    [[nodiscard]] std::span<const Real> parameters() const { return parameters_; }
    [[nodiscard]] std::span<const Tensor> tensors() const { return tensors_; }

    // Told, during learn(), that the gradient of tensors()[index] is complete: last layer first.
    using Completed = std::function<void(std::size_t index)>;
    // The sum over the examples of the loss, in nats; adds its gradient to `gradient`, laid out
    // like the parameters. `contexts` holds targets.size() rows.
    double learn(
        std::span<const Symbol> contexts,
        std::span<const Symbol> targets,
        std::span<Real> gradient,
        const Completed& completed = [](std::size_t) {});
    // The sum of the loss alone.
    double loss(std::span<const Symbol> contexts, std::span<const Symbol> targets);
    // The probabilities of the next character; valid until the next call.
    std::span<const Real> predict(std::span<const Symbol> context);

  private:
    enum Part : std::size_t { embedding, hidden_weight, hidden_bias, output_weight, output_bias };
    [[nodiscard]] const Real* at(Part part) const { return &parameters_[tensors_[part].offset]; }
    [[nodiscard]] std::size_t inputs() const { return shape_.context * shape_.embedding; }
    void add_tensor(std::string name, std::size_t rows, std::size_t columns);
    void forward(std::span<const Symbol> contexts);
    // Turns probabilities into the gradient of the loss where `gradient` is wanted.
    double loss_of(std::span<const Symbol> targets, bool gradient);
    void backward(std::span<const Symbol> contexts,
                  std::size_t rows,
                  std::span<Real> gradient,
                  const Completed& completed);

    ModelShape shape_;
    std::vector<Tensor> tensors_;
    std::vector<Real> parameters_;
    // Of the last forward(), row by row; kept so that no step allocates.
    std::vector<Real> input_;          // rows x inputs()
    std::vector<Real> hidden_;         // rows x hidden
    std::vector<Real> output_;         // rows x alphabet: probabilities, then their gradient
    std::vector<Real> hidden_change_;  // rows x hidden: the gradient before tanh
    std::vector<Real> input_change_;   // rows x inputs()
    std::vector<Real> turned_;         // a weight matrix, transposed
};

}  // namespace char_lm
