// char-lm: a character-level language model, trained on all ranks together.
#include <fmt/format.h>

#include <cstdio>

#include "mpitrain/collectives/communicator.hpp"
#include "options.hpp"
#include "trainer.hpp"

namespace char_lm {
namespace {

using mpitrain::Result;
using mpitrain::collectives::Communicator;
using mpitrain::collectives::Environment;

// Rank 0 alone talks, line by line even into a pipe.
class Narrator {
  public:
    explicit Narrator(bool talks) : talks_(talks) {}
    template <typename... Args>
    void say(fmt::format_string<Args...> format, Args&&... args) const {
        if (talks_) {
            fmt::print(format, std::forward<Args>(args)...);
            std::fputc('\n', stdout);
            std::fflush(stdout);
        }
    }

  private:
    bool talks_;
};

Result<void> train(const Options& options, const Corpus& corpus, Communicator& ranks) {
    const Narrator narrator(ranks.rank() == 0);
    Trainer trainer(corpus, options, ranks);
    narrator.say(
        "{} characters to learn from, {} parameters, {} ranks; knowing only how often each "
        "character occurs costs {:.4f} nats each",
        corpus.training().count(),
        trainer.model().parameters().size(),
        ranks.size(),
        corpus.unigram_entropy());
    while (trainer.step() < options.steps) {
        MPITRAIN_TRY(const double loss, trainer.advance());
        if (trainer.step() % 100 == 0) {
            narrator.say("step {} of {}: loss {:.4f}", trainer.step(), options.steps, loss);
        }
    }
    MPITRAIN_TRY(const double loss, trainer.validate());
    narrator.say("final loss {:.6f} ({:a})", loss, loss);
    for (const auto& line : trainer.write_lines(options.samples)) {
        narrator.say("  {}", line);
    }
    return {};
}

Result<int> run(int argc, char** argv) {
    MPITRAIN_TRY(const auto options, parse_options(argc, argv));
    if (!options) {
        return 0;
    }
    MPITRAIN_TRY(auto environment, Environment::open());
    MPITRAIN_TRY(auto ranks, Communicator::world(environment));
    MPITRAIN_TRY(const auto corpus, Corpus::load(options->data));
    MPITRAIN_TRY_VOID(train(*options, corpus, ranks));
    MPITRAIN_TRY_VOID(environment.close());
    return 0;
}

}  // namespace
}  // namespace char_lm

int main(int argc, char** argv) {
    const auto result = char_lm::run(argc, argv);
    if (!result) {
        fmt::print(stderr, "char-lm: {}\n", result.error().text());
        return result.error().code() == mpitrain::ErrorCode::invalid_argument ? 2 : 1;
    }
    return *result;
}
