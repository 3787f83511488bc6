#include "model.hpp"

#include <algorithm>
#include <cmath>

#include "functions.hpp"
#include "matmul.hpp"
#include "random.hpp"

namespace char_lm {

namespace {

template <typename Real>
void transpose(const Real* from, std::size_t rows, std::size_t columns, std::vector<Real>& into) {
    into.resize(rows * columns);
    for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < columns; ++j) {
            into[j * rows + i] = from[i * columns + j];
        }
    }
}

template <typename Real>
void fill_rows(std::vector<Real>& matrix, std::size_t rows, const Real* row, std::size_t columns) {
    matrix.resize(rows * columns);
    for (std::size_t i = 0; i < rows; ++i) {
        std::copy(row, row + columns, &matrix[i * columns]);
    }
}

// Numbers to probabilities; the largest is taken off first so that no exponential overflows.
template <typename Real>
void softmax(Real* row, std::size_t count) {
    const Real largest = *std::max_element(row, row + count);
    for (std::size_t j = 0; j < count; ++j) {
        row[j] = exponential(row[j] - largest);
    }
    Real sum = 0;
    for (std::size_t j = 0; j < count; ++j) {
        sum += row[j];
    }
    const Real scale = 1 / sum;
    for (std::size_t j = 0; j < count; ++j) {
        row[j] *= scale;
    }
}

}  // namespace

template <typename Real>
Model<Real>::Model(const ModelShape& shape) : shape_(shape) {
    add_tensor("embedding", shape.alphabet, shape.embedding);
    add_tensor("hidden.weight", inputs(), shape.hidden);
    add_tensor("hidden.bias", 1, shape.hidden);
    add_tensor("output.weight", shape.hidden, shape.alphabet);
    add_tensor("output.bias", 1, shape.alphabet);
    parameters_.resize(tensors_.back().offset + tensors_.back().count());
}

template <typename Real>
void Model<Real>::add_tensor(std::string name, std::size_t rows, std::size_t columns) {
    const std::size_t offset =
        tensors_.empty() ? 0 : tensors_.back().offset + tensors_.back().count();
    tensors_.push_back({std::move(name), rows, columns, offset});
}

template <typename Real>
void Model<Real>::initialise(std::uint64_t seed) {
    for (const Tensor& tensor : tensors_) {
        // A unit keeps the spread of its inputs: variance 1 / inputs, a third of the square's side.
        const bool table = tensor.offset == 0;
        const double side = table ? 1.0 : std::sqrt(3.0 / static_cast<double>(tensor.rows));
        for (std::size_t i = 0; i < tensor.count(); ++i) {
            const double unit = random_unit(seed, tensor.offset + i);
            parameters_[tensor.offset + i] =
                tensor.rows == 1 ? Real(0) : static_cast<Real>(side * (2 * unit - 1));
        }
    }
}

template <typename Real>
void Model<Real>::forward(std::span<const Symbol> contexts) {
    const std::size_t rows = contexts.size() / shape_.context;
    input_.resize(rows * inputs());
    for (std::size_t i = 0; i < contexts.size(); ++i) {
        const Real* vector = at(embedding) + contexts[i] * shape_.embedding;
        std::copy(vector, vector + shape_.embedding, &input_[i * shape_.embedding]);
    }
    fill_rows(hidden_, rows, at(hidden_bias), shape_.hidden);
    multiply_add<Real>(rows,
                       shape_.hidden,
                       inputs(),
                       {input_.data(), inputs()},
                       {at(hidden_weight), shape_.hidden},
                       {hidden_.data(), shape_.hidden});
    for (Real& unit : hidden_) {
        unit = hyperbolic_tangent(unit);
    }
    fill_rows(output_, rows, at(output_bias), shape_.alphabet);
    multiply_add<Real>(rows,
                       shape_.alphabet,
                       shape_.hidden,
                       {hidden_.data(), shape_.hidden},
                       {at(output_weight), shape_.alphabet},
                       {output_.data(), shape_.alphabet});
    for (std::size_t i = 0; i < rows; ++i) {
        softmax(&output_[i * shape_.alphabet], shape_.alphabet);
    }
}

template <typename Real>
double Model<Real>::loss_of(std::span<const Symbol> targets, bool gradient) {
    double sum = 0;
    for (std::size_t i = 0; i < targets.size(); ++i) {
        Real& probability = output_[i * shape_.alphabet + targets[i]];
        constexpr Real least =
            static_cast<Real>(1e-30);  // a hopeless guess costs 69 nats, not infinity
        sum -= std::log(static_cast<double>(std::max(probability, least)));
        if (gradient) {
            probability -= 1;
        }
    }
    return sum;
}

template <typename Real>
void Model<Real>::backward(std::span<const Symbol> contexts,
                           std::size_t rows,
                           std::span<Real> gradient,
                           const Completed& completed) {
    const auto into = [&](Part part) { return &gradient[tensors_[part].offset]; };
    const auto add_columns = [&](const std::vector<Real>& matrix, std::size_t columns, Real* sums) {
        for (std::size_t i = 0; i < rows; ++i) {
            for (std::size_t j = 0; j < columns; ++j) {
                sums[j] += matrix[i * columns + j];
            }
        }
    };
    const std::size_t hidden = shape_.hidden;
    const std::size_t alphabet = shape_.alphabet;
    const View<const Real> output_change{output_.data(), alphabet};

    add_columns(output_, alphabet, into(output_bias));
    multiply_add<Real>(hidden,
                       alphabet,
                       rows,
                       transposed<Real>({hidden_.data(), hidden}),
                       output_change,
                       {into(output_weight), alphabet});
    completed(output_bias);
    completed(output_weight);

    transpose(at(output_weight), hidden, alphabet, turned_);
    hidden_change_.assign(rows * hidden, 0);
    multiply_add<Real>(rows,
                       hidden,
                       alphabet,
                       output_change,
                       {turned_.data(), hidden},
                       {hidden_change_.data(), hidden});
    for (std::size_t i = 0; i < hidden_change_.size(); ++i) {
        hidden_change_[i] *= 1 - hidden_[i] * hidden_[i];
    }
    const View<const Real> hidden_change{hidden_change_.data(), hidden};
    add_columns(hidden_change_, hidden, into(hidden_bias));
    multiply_add<Real>(inputs(),
                       hidden,
                       rows,
                       transposed<Real>({input_.data(), inputs()}),
                       hidden_change,
                       {into(hidden_weight), hidden});
    completed(hidden_bias);
    completed(hidden_weight);

    transpose(at(hidden_weight), inputs(), hidden, turned_);
    input_change_.assign(rows * inputs(), 0);
    multiply_add<Real>(rows,
                       inputs(),
                       hidden,
                       hidden_change,
                       {turned_.data(), inputs()},
                       {input_change_.data(), inputs()});
    for (std::size_t i = 0; i < contexts.size(); ++i) {
        Real* sums = into(embedding) + contexts[i] * shape_.embedding;
        for (std::size_t j = 0; j < shape_.embedding; ++j) {
            sums[j] += input_change_[i * shape_.embedding + j];
        }
    }
    completed(embedding);
}

template <typename Real>
double Model<Real>::learn(std::span<const Symbol> contexts,
                          std::span<const Symbol> targets,
                          std::span<Real> gradient,
                          const Completed& completed) {
    forward(contexts);
    const double loss = loss_of(targets, true);
    backward(contexts, targets.size(), gradient, completed);
    return loss;
}

template <typename Real>
double Model<Real>::loss(std::span<const Symbol> contexts, std::span<const Symbol> targets) {
    forward(contexts);
    return loss_of(targets, false);
}

template <typename Real>
std::span<const Real> Model<Real>::predict(std::span<const Symbol> context) {
    forward(context);
    return output_;
}

template class Model<float>;
template class Model<double>;

}  // namespace char_lm
