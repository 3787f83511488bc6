#pragma once

#include <cstddef>
#include <cstdint>

#include "functions.hpp"

// The model's arithmetic as bodies of loops whose rounds know nothing of each other: a GPU runs
// each round on a thread, a host one after another. Every sum is made by one thread, in the order
// of char_lm::Model, so that both give its bits (compiled without contraction to fused operations).
namespace char_lm {

// Where the parts of the model lie among its parameters, and how large they are.
struct PassLayout {
    std::size_t alphabet;
    std::size_t context;
    std::size_t embedding;  // numbers for one character
    std::size_t hidden;
    std::size_t at_embedding, at_hidden_weight, at_hidden_bias, at_output_weight, at_output_bias;
    [[nodiscard]] std::size_t inputs() const { return context * embedding; }
    [[nodiscard]] std::size_t parameters() const { return at_output_bias + alphabet; }
};

// The arrays of a pass over `rows` examples, all of one memory.
struct PassArrays {
    std::size_t rows;
    const std::uint8_t* contexts;  // rows x context
    const std::uint8_t* targets;   // rows
    const float* parameters;
    float* gradient;       // like the parameters
    float* input;          // rows x inputs()
    float* hidden;         // rows x hidden
    float* output;         // rows x alphabet: probabilities, then their gradient
    float* hidden_change;  // rows x hidden
    float* input_change;   // rows x inputs()
    float* picked;         // rows: the probability of the target
};

// A matrix; element (i, j) is data[i * row_step + j * column_step].
struct Matrix {
    const float* data;
    std::size_t row_step;
    std::size_t column_step = 1;
    [[nodiscard]] CHAR_LM_HOST_DEVICE float at(std::size_t i, std::size_t j) const {
        return data[i * row_step + j * column_step];
    }
};

struct LookUp {  // for each number of `input`
    const std::uint8_t* contexts;
    const float* table;
    std::size_t width;
    float* input;
    CHAR_LM_HOST_DEVICE void operator()(std::size_t i) const {
        input[i] = table[contexts[i / width] * width + i % width];
    }
};

struct FillRows {  // for each element of `matrix`
    const float* row;
    std::size_t columns;
    float* matrix;
    CHAR_LM_HOST_DEVICE void operator()(std::size_t i) const { matrix[i] = row[i % columns]; }
};

struct MultiplyAdd {  // c += a b, for each element of c; b has `columns`, a has `depth`
    std::size_t columns;
    std::size_t depth;
    Matrix a;
    Matrix b;
    float* c;
    CHAR_LM_HOST_DEVICE void operator()(std::size_t i) const {
        const std::size_t row = i / columns;
        const std::size_t column = i % columns;
        float sum = c[i];
        for (std::size_t k = 0; k < depth; ++k) {
            sum += a.at(row, k) * b.at(k, column);
        }
        c[i] = sum;
    }
};

struct Tanh {
    float* values;
    CHAR_LM_HOST_DEVICE void operator()(std::size_t i) const {
        values[i] = hyperbolic_tangent(values[i]);
    }
};

struct Softmax {  // for each row
    std::size_t columns;
    float* output;
    CHAR_LM_HOST_DEVICE void operator()(std::size_t i) const {
        float* const row = output + i * columns;
        float largest = row[0];
        for (std::size_t j = 1; j < columns; ++j) {
            largest = largest < row[j] ? row[j] : largest;
        }
        float sum = 0;
        for (std::size_t j = 0; j < columns; ++j) {
            row[j] = exponential(row[j] - largest);
            sum += row[j];
        }
        const float scale = 1 / sum;
        for (std::size_t j = 0; j < columns; ++j) {
            row[j] *= scale;
        }
    }
};

struct PickTarget {  // for each row; the output becomes the loss's gradient where that is wanted
    const std::uint8_t* targets;
    std::size_t columns;
    float* output;
    float* picked;
    bool gradient;
    CHAR_LM_HOST_DEVICE void operator()(std::size_t i) const {
        float& probability = output[i * columns + targets[i]];
        picked[i] = probability;
        if (gradient) {
            probability -= 1;
        }
    }
};

struct AddColumns {  // for each column
    const float* matrix;
    std::size_t rows;
    std::size_t columns;
    float* sums;
    CHAR_LM_HOST_DEVICE void operator()(std::size_t j) const {
        float sum = sums[j];
        for (std::size_t i = 0; i < rows; ++i) {
            sum += matrix[i * columns + j];
        }
        sums[j] = sum;
    }
};

struct BeforeTanh {  // the gradient of tanh's argument from that of its value
    const float* hidden;
    float* change;
    CHAR_LM_HOST_DEVICE void operator()(std::size_t i) const {
        change[i] *= 1 - hidden[i] * hidden[i];
    }
};

struct AddToTable {  // for each number of the embedding
    const std::uint8_t* contexts;
    std::size_t places;  // rows x context
    std::size_t width;
    const float* input_change;
    float* sums;
    CHAR_LM_HOST_DEVICE void operator()(std::size_t i) const {
        const std::size_t symbol = i / width;
        float sum = sums[i];
        for (std::size_t place = 0; place < places; ++place) {
            if (contexts[place] == symbol) {
                sum += input_change[place * width + i % width];
            }
        }
        sums[i] = sum;
    }
};

struct Zero {
    float* values;
    CHAR_LM_HOST_DEVICE void operator()(std::size_t i) const { values[i] = 0; }
};

struct Scale {
    float* values;
    float factor;
    CHAR_LM_HOST_DEVICE void operator()(std::size_t i) const { values[i] *= factor; }
};

// run(count, body) makes `count` rounds of body, behind all that it was given before.

template <typename Run>
void forward(const PassLayout& at, const PassArrays& in, const Run& run) {
    const float* const all = in.parameters;
    const std::size_t inputs = at.inputs();
    run(in.rows * inputs, LookUp{in.contexts, all + at.at_embedding, at.embedding, in.input});
    run(in.rows * at.hidden, FillRows{all + at.at_hidden_bias, at.hidden, in.hidden});
    run(in.rows * at.hidden,
        MultiplyAdd{at.hidden,
                    inputs,
                    {in.input, inputs},
                    {all + at.at_hidden_weight, at.hidden},
                    in.hidden});
    run(in.rows * at.hidden, Tanh{in.hidden});
    run(in.rows * at.alphabet, FillRows{all + at.at_output_bias, at.alphabet, in.output});
    run(in.rows * at.alphabet,
        MultiplyAdd{at.alphabet,
                    at.hidden,
                    {in.hidden, at.hidden},
                    {all + at.at_output_weight, at.alphabet},
                    in.output});
    run(in.rows, Softmax{at.alphabet, in.output});
}

// After forward() and PickTarget with its gradient. completed(tensor) when the gradient of a tensor
// has been given to `run`, last layer first.
template <typename Run, typename Completed>
void backward(const PassLayout& at,
              const PassArrays& in,
              const Run& run,
              const Completed& completed) {
    enum Part : std::size_t { embedding, hidden_weight, hidden_bias, output_weight, output_bias };
    const std::size_t inputs = at.inputs();
    run(at.alphabet, AddColumns{in.output, in.rows, at.alphabet, in.gradient + at.at_output_bias});
    run(at.hidden * at.alphabet,
        MultiplyAdd{at.alphabet,
                    in.rows,
                    {in.hidden, 1, at.hidden},
                    {in.output, at.alphabet},
                    in.gradient + at.at_output_weight});
    completed(output_bias);
    completed(output_weight);

    run(in.rows * at.hidden, Zero{in.hidden_change});
    run(in.rows * at.hidden,
        MultiplyAdd{at.hidden,
                    at.alphabet,
                    {in.output, at.alphabet},
                    {in.parameters + at.at_output_weight, 1, at.alphabet},
                    in.hidden_change});
    run(in.rows * at.hidden, BeforeTanh{in.hidden, in.hidden_change});
    run(at.hidden,
        AddColumns{in.hidden_change, in.rows, at.hidden, in.gradient + at.at_hidden_bias});
    run(inputs * at.hidden,
        MultiplyAdd{at.hidden,
                    in.rows,
                    {in.input, 1, inputs},
                    {in.hidden_change, at.hidden},
                    in.gradient + at.at_hidden_weight});
    completed(hidden_bias);
    completed(hidden_weight);

    run(in.rows * inputs, Zero{in.input_change});
    run(in.rows * inputs,
        MultiplyAdd{inputs,
                    at.hidden,
                    {in.hidden_change, at.hidden},
                    {in.parameters + at.at_hidden_weight, 1, at.hidden},
                    in.input_change});
    run(at.alphabet * at.embedding,
        AddToTable{in.contexts,
                   in.rows * at.context,
                   at.embedding,
                   in.input_change,
                   in.gradient + at.at_embedding});
    completed(embedding);
}

}  // namespace char_lm
