// char-lm: a character-level language model, trained on all ranks together.
#include <fmt/format.h>

#include <cstdio>

#include "mpitrain/collectives/communicator.hpp"
#include "options.hpp"
#include "training.hpp"

namespace {

using mpitrain::Result;
using mpitrain::collectives::Communicator;
using mpitrain::collectives::Environment;
using mpitrain::collectives::ThreadUse;

Result<void> run(const char_lm::Options& options) {
    // Gradients are reduced by a thread of their own.
    MPITRAIN_TRY(auto environment, Environment::open(ThreadUse::any));
    MPITRAIN_TRY(auto ranks, Communicator::world(environment));
    MPITRAIN_TRY(const auto corpus, char_lm::Corpus::load(options.data));
    {
        char_lm::HostLearner learner(char_lm::shape_of(corpus, options), options.seed, ranks);
        MPITRAIN_TRY_VOID(char_lm::train(options, corpus, ranks, learner));
    }
    return environment.close();
}

int failed(const mpitrain::Error& error, int exit_code) {
    fmt::print(stderr, "char-lm: {}\n", error.text());
    return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
    const auto options = char_lm::parse_options(argc, argv);
    if (!options) {
        return failed(options.error(), 2);
    }
    if (!*options) {
        return 0;  // --help
    }
    const auto done = run(**options);
    return done ? 0 : failed(done.error(), 1);
}
