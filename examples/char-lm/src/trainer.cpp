#include "trainer.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "random.hpp"

namespace char_lm {

using mpitrain::Result;
using mpitrain::collectives::ReduceOp;

namespace {

// Seeds of their own for each use, so that no two draw the same numbers.
constexpr std::uint64_t order_seed = 0x6f72646572000000U;
constexpr std::uint64_t writing_seed = 0x7772697465000000U;
constexpr std::size_t line_length_max = 80;

}  // namespace

Trainer::Trainer(const Corpus& corpus,
                 const Options& options,
                 mpitrain::collectives::Communicator& ranks,
                 Learner& learner)
    : corpus_(corpus), options_(options), ranks_(ranks), learner_(learner) {}

Trainer::Share Trainer::share_of(std::uint64_t count) const {
    const auto rank = static_cast<std::uint64_t>(ranks_.rank());
    const auto size = static_cast<std::uint64_t>(ranks_.size());
    return {count * rank / size, count * (rank + 1) / size};
}

void Trainer::gather_batch() {
    const Examples& text = corpus_.training();
    const Share share = share_of(options_.batch);
    batch_.contexts.clear();
    batch_.targets.clear();
    for (std::uint64_t i = cursor_ + share.begin; i < cursor_ + share.end; ++i) {
        const std::uint64_t epoch = i / text.count();
        const std::uint64_t key = random_bits(order_seed + options_.seed, epoch);
        const std::uint64_t place = shuffled(i % text.count(), text.count(), key);
        const auto row =
            text.contexts.begin() + static_cast<std::ptrdiff_t>(place * Corpus::context);
        batch_.contexts.insert(batch_.contexts.end(), row, row + Corpus::context);
        batch_.targets.push_back(text.targets[place]);
    }
}

double Trainer::learning_rate() const {
    constexpr double warm_up = 50;  // steps; Adam's first means are noisy
    constexpr double pi = 3.14159265358979323846;
    const auto step = static_cast<double>(step_);
    const double progress = step / static_cast<double>(options_.steps);
    const double fall = 0.5 * (1 + std::cos(pi * std::min(progress, 1.0)));
    return options_.learning_rate * std::min(1.0, (step + 1) / warm_up) * fall;
}

Result<double> Trainer::advance() {
    gather_batch();
    MPITRAIN_TRY(
        const double loss,
        learner_.learn(batch_,
                       {.number = step_ + 1, .batch = options_.batch, .rate = learning_rate()}));
    ++step_;
    cursor_ += options_.batch;
    return loss;
}

Result<double> Trainer::validate() {
    constexpr std::uint64_t rows_max = 512;  // bounds the memory
    const Examples& text = corpus_.validation();
    const Share share = share_of(text.count());
    std::array<double, 1> sum{};
    for (std::uint64_t begin = share.begin; begin < share.end; begin += rows_max) {
        const std::uint64_t rows = std::min(rows_max, share.end - begin);
        MPITRAIN_TRY(
            const double loss,
            learner_.loss({&text.contexts[begin * Corpus::context], rows * Corpus::context},
                          {&text.targets[begin], rows}));
        sum[0] += loss;
    }
    MPITRAIN_TRY_VOID(ranks_.allreduce(sum, ReduceOp::sum));
    return sum[0] / static_cast<double>(text.count());
}

Result<std::vector<std::string>> Trainer::write_lines(std::size_t count) {
    MPITRAIN_TRY_VOID(learner_.fetch());
    std::vector<std::string> lines(count);
    std::uint64_t draws = 0;
    for (std::string& line : lines) {
        std::array<Symbol, Corpus::context> before{};
        before.fill(corpus_.line_end());
        while (line.size() < line_length_max) {
            const auto probabilities = learner_.model().predict(before);
            double rest = random_unit(writing_seed + options_.seed, draws++);
            std::size_t symbol = 0;
            while (symbol + 1 < probabilities.size() &&
                   rest >= static_cast<double>(probabilities[symbol])) {
                rest -= static_cast<double>(probabilities[symbol++]);
            }
            if (symbol == corpus_.line_end()) {
                break;
            }
            line += corpus_.character(static_cast<Symbol>(symbol));
            std::rotate(before.begin(), before.begin() + 1, before.end());
            before.back() = static_cast<Symbol>(symbol);
        }
    }
    return lines;
}

void Trainer::resume_at(std::uint64_t step, std::uint64_t cursor) {
    step_ = step;
    cursor_ = cursor;
}

}  // namespace char_lm
