// What the kernels compute, round by round on the host, against char-lm's own model.
#include "passes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "adam.hpp"
#include "layout.hpp"
#include "random.hpp"

namespace char_lm {
namespace {

// Rounds backwards, since a GPU promises no order.
struct OnHost {
    template <typename Body>
    void operator()(std::size_t count, const Body& body) const {
        for (std::size_t i = count; i > 0; --i) {
            body(i - 1);
        }
    }
};

std::vector<Symbol> some_symbols(std::size_t count, std::size_t alphabet, std::uint64_t seed) {
    std::vector<Symbol> symbols(count);
    for (std::size_t i = 0; i < count; ++i) {
        symbols[i] = static_cast<Symbol>(random_bits(seed, i) % alphabet);
    }
    return symbols;
}

struct Memory {
    Memory(const PassLayout& at, std::size_t rows, const float* parameters)
        : gradient(at.parameters()),
          input(rows * at.inputs()),
          hidden(rows * at.hidden),
          output(rows * at.alphabet),
          hidden_change(hidden.size()),
          input_change(input.size()),
          picked(rows),
          contexts(some_symbols(rows * at.context, at.alphabet, 1)),
          targets(some_symbols(rows, at.alphabet, 2)),
          arrays{.rows = rows,
                 .contexts = contexts.data(),
                 .targets = targets.data(),
                 .parameters = parameters,
                 .gradient = gradient.data(),
                 .input = input.data(),
                 .hidden = hidden.data(),
                 .output = output.data(),
                 .hidden_change = hidden_change.data(),
                 .input_change = input_change.data(),
                 .picked = picked.data()} {}
    std::vector<float> gradient, input, hidden, output, hidden_change, input_change, picked;
    std::vector<Symbol> contexts, targets;
    PassArrays arrays;
};

double loss_of(const std::vector<float>& picked) {
    double sum = 0;
    for (const float probability : picked) {
        sum -= std::log(static_cast<double>(std::max(probability, 1e-30F)));
    }
    return sum;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

TEST(CudaPasses, LearnTheBitsOfTheHostsModel) {
    for (const std::size_t rows : {1U, 7U, 64U}) {
        const ModelShape shape{.alphabet = 29, .context = 8, .embedding = 16, .hidden = 37};
        Model<float> model(shape);
        model.initialise(3);
        const PassLayout at = layout_of(shape, model);
        ASSERT_EQ(at.parameters(), model.parameters().size());
        Memory memory(at, rows, model.parameters().data());
        std::vector<float> gradient(model.parameters().size());
        std::vector<std::size_t> completed_by_host;
        std::vector<std::size_t> completed;
        const double loss = model.learn(memory.contexts, memory.targets, gradient, [&](auto part) {
            completed_by_host.push_back(part);
        });
        const OnHost run;
        forward(at, memory.arrays, run);
        run(rows,
            PickTarget{memory.targets.data(),
                       at.alphabet,
                       memory.output.data(),
                       memory.picked.data(),
                       true});
        backward(at, memory.arrays, run, [&](std::size_t part) { completed.push_back(part); });
        EXPECT_EQ(loss_of(memory.picked), loss);
        EXPECT_TRUE(same_bits(memory.gradient, gradient)) << rows;
        EXPECT_EQ(completed, completed_by_host);
    }
}

TEST(CudaPasses, TrainToTheBitsOfTheHost) {
    constexpr std::size_t rows = 20;
    constexpr float scale = 1.0F / rows;
    const ModelShape shape{.alphabet = 11, .context = 8, .embedding = 16, .hidden = 24};
    Model<float> model(shape);
    model.initialise(5);
    Adam adam(model.parameters().size());
    std::vector<float> parameters(model.parameters().begin(), model.parameters().end());
    std::vector<float> mean(parameters.size());
    std::vector<float> square(parameters.size());
    const PassLayout at = layout_of(shape, model);
    Memory memory(at, rows, parameters.data());
    const OnHost run;
    double first = 0;
    double last = 0;
    for (std::uint64_t step = 1; step <= 30; ++step) {
        std::vector<float> gradient(parameters.size());
        last = model.learn(memory.contexts, memory.targets, gradient);
        first = step == 1 ? last : first;
        for (float& element : gradient) {
            element *= scale;
        }
        adam.update(model.parameters(), gradient, 0.01, step);

        run(parameters.size(), Zero{memory.gradient.data()});
        forward(at, memory.arrays, run);
        run(rows,
            PickTarget{memory.targets.data(),
                       at.alphabet,
                       memory.output.data(),
                       memory.picked.data(),
                       true});
        backward(at, memory.arrays, run, [](std::size_t) {});
        run(parameters.size(), Scale{memory.gradient.data(), scale});
        const AdamStep move(0.01, step);
        run(parameters.size(), [&](std::size_t i) {
            move_parameter(parameters[i], mean[i], square[i], memory.gradient[i], move);
        });
        ASSERT_EQ(loss_of(memory.picked), last) << "step " << step;
        ASSERT_TRUE(same_bits(parameters, model.parameters())) << "step " << step;
    }
    EXPECT_LT(last, first / 4) << "and it learns";
}

}  // namespace
}  // namespace char_lm
