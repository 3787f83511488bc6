#include "model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "functions.hpp"
#include "matmul.hpp"
#include "random.hpp"

namespace char_lm {
namespace {

std::vector<Symbol> some_symbols(std::size_t count, std::size_t alphabet, std::uint64_t seed) {
    std::vector<Symbol> symbols(count);
    for (std::size_t i = 0; i < count; ++i) {
        symbols[i] = static_cast<Symbol>(random_bits(seed, i) % alphabet);
    }
    return symbols;
}

struct Problem {
    ModelShape shape{.alphabet = 11, .context = 3, .embedding = 5, .hidden = 13};
    std::vector<Symbol> contexts = some_symbols(21, 11, 1);
    std::vector<Symbol> targets = some_symbols(7, 11, 2);
};

TEST(Model, GradientEqualsFiniteDifferences) {
    const Problem problem;
    Model<double> model(problem.shape);
    model.initialise(3);
    std::vector<double> gradient(model.parameters().size());
    const double loss = model.learn(problem.contexts, problem.targets, gradient);
    EXPECT_DOUBLE_EQ(loss, model.loss(problem.contexts, problem.targets));
    for (std::size_t i = 0; i < gradient.size(); ++i) {
        constexpr double shift = 1e-5;
        double& parameter = model.parameters()[i];
        const double kept = parameter;
        parameter = kept + shift;
        const double above = model.loss(problem.contexts, problem.targets);
        parameter = kept - shift;
        const double below = model.loss(problem.contexts, problem.targets);
        parameter = kept;
        ASSERT_NEAR(gradient[i], (above - below) / (2 * shift), 1e-7) << "parameter " << i;
    }
}

TEST(Model, FloatAgreesWithDouble) {
    const Problem problem;
    Model<double> exact(problem.shape);
    Model<float> model(problem.shape);
    exact.initialise(3);
    model.initialise(3);
    std::vector<double> exact_gradient(exact.parameters().size());
    std::vector<float> gradient(model.parameters().size());
    const double exact_loss = exact.learn(problem.contexts, problem.targets, exact_gradient);
    EXPECT_NEAR(model.learn(problem.contexts, problem.targets, gradient), exact_loss, 1e-4);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
        ASSERT_NEAR(gradient[i], exact_gradient[i], 1e-4) << "parameter " << i;
    }
}

TEST(Model, GradientOfNoExamplesIsZero) {
    Model<float> model({.alphabet = 11});
    std::vector<float> gradient(model.parameters().size());
    EXPECT_EQ(model.learn({}, {}, gradient), 0);
    EXPECT_EQ(std::count(gradient.begin(), gradient.end(), 0.0F),
              static_cast<std::ptrdiff_t>(gradient.size()));
}

TEST(Model, PredictsProbabilities) {
    const Problem problem;
    Model<float> model(problem.shape);
    model.initialise(3);
    const auto probabilities = model.predict(std::span(problem.contexts).first(3));
    ASSERT_EQ(probabilities.size(), problem.shape.alphabet);
    EXPECT_NEAR(std::accumulate(probabilities.begin(), probabilities.end(), 0.0), 1, 1e-6);
}

template <typename Real>
void expect_product(std::size_t m, std::size_t n, std::size_t k, bool turned) {
    std::vector<Real> a(m * k);
    std::vector<Real> b(k * n);
    std::vector<Real> c(m * n, 1);
    for (std::size_t i = 0; i < a.size(); ++i) {
        a[i] = static_cast<Real>(random_unit(1, i) - 0.5);
    }
    for (std::size_t i = 0; i < b.size(); ++i) {
        b[i] = static_cast<Real>(random_unit(2, i) - 0.5);
    }
    const View<const Real> rows{a.data(), k};
    const View<const Real> columns{a.data(), 1, m};
    multiply_add<Real>(m, n, k, turned ? columns : rows, {b.data(), n}, {c.data(), n});
    for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
            double sum = 1;
            for (std::size_t l = 0; l < k; ++l) {
                sum += static_cast<double>(turned ? a[l * m + i] : a[i * k + l]) *
                       static_cast<double>(b[l * n + j]);
            }
            ASSERT_NEAR(static_cast<double>(c[i * n + j]), sum, 1e-5) << m << 'x' << n << 'x' << k;
        }
    }
}

TEST(MultiplyAdd, EqualsThePlainProductForEveryShape) {
    for (std::size_t m = 0; m < 10; ++m) {
        for (std::size_t n = 0; n < 20; ++n) {
            for (std::size_t k = 0; k < 6; k += 1 + k) {
                expect_product<float>(m, n, k, false);
                expect_product<float>(m, n, k, true);
                expect_product<double>(m, n, k, true);
            }
        }
    }
}

TEST(Functions, AreCloseToTheLibrarys) {
    for (int i = 0; i <= 6569; ++i) {
        const float x = -90 + 0.0137F * static_cast<float>(i);
        const double exact = std::exp(static_cast<double>(std::max(x, -87.0F)));
        EXPECT_NEAR(static_cast<double>(exponential(x)), exact, 3e-7 * exact) << x;
    }
    EXPECT_EQ(exponential(0.0F), 1.0F);
    for (int i = 0; i <= 2637; ++i) {
        const float x = -12 + 0.0091F * static_cast<float>(i);
        const double exact = std::tanh(static_cast<double>(x));
        EXPECT_NEAR(static_cast<double>(hyperbolic_tangent(x)), exact, 4e-7) << x;
    }
}

TEST(Shuffled, IsAPermutationThatTheKeyChanges) {
    for (const std::uint64_t count : {1U, 2U, 3U, 64U, 65U, 1000U}) {
        std::vector<bool> seen(count);
        std::uint64_t moved = 0;
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t place = shuffled(i, count, 7);
            ASSERT_LT(place, count);
            ASSERT_FALSE(seen[place]);
            seen[place] = true;
            moved += place != shuffled(i, count, 8) ? 1U : 0U;
        }
        EXPECT_TRUE(count < 64 || moved > count / 2);
    }
}

}  // namespace
}  // namespace char_lm
