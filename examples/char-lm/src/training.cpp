#include "training.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string>

#include "mpitrain/client.hpp"
#include "narrator.hpp"
#include "snapshots.hpp"
#include "trainer.hpp"

namespace char_lm {

using mpitrain::Result;
namespace client = mpitrain::client;

namespace {

constexpr std::uint64_t lines_of_progress = 20;

std::string checkpoint_directory(const Options& options) {
    return options.checkpoint_directory.empty() ? client::checkpoint_directory().value_or("")
                                                : options.checkpoint_directory;
}

// Where mpitrain is the launcher, it says what to resume, be it nothing; else the newest
// checkpoint, so that the same command again goes on.
Result<std::optional<std::uint64_t>> resume(Snapshots& snapshots, Trainer& trainer) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread of this program changes the environment
    const bool launcher_decides = std::getenv("MPITRAIN_RESUME") != nullptr;
    const auto path = client::resume_path();
    if (launcher_decides && !path) {
        return std::optional<std::uint64_t>();
    }
    return snapshots.restore(trainer, path);
}

Result<void> commit(std::optional<Snapshots>& snapshots, Trainer& trainer) {
    if (!snapshots) {
        return {};
    }
    client::checkpoint_started();
    MPITRAIN_TRY_VOID(snapshots->save(trainer));
    client::checkpoint_committed(trainer.step());
    return {};
}

// Trains to the last step. False if mpitrain asked to stop earlier.
Result<bool> train(const Options& options,
                   Trainer& trainer,
                   std::optional<Snapshots>& snapshots,
                   const Narrator& narrator) {
    const std::uint64_t line_every = std::max<std::uint64_t>(options.steps / lines_of_progress, 1);
    while (trainer.step() < options.steps) {
        if (client::should_stop(trainer.step())) {
            return false;
        }
        MPITRAIN_TRY(const double loss, trainer.advance());
        const std::uint64_t step = trainer.step();
        client::progress(step, options.steps, std::array{client::Metric{"loss", loss}});
        if (step % line_every == 0) {
            narrator.say("step {:>6} of {}: loss {:.4f}", step, options.steps, loss);
        }
        if (options.checkpoint_every > 0 && step % options.checkpoint_every == 0) {
            MPITRAIN_TRY_VOID(commit(snapshots, trainer));
        }
    }
    return true;
}

}  // namespace

Result<void> train(const Options& options,
                   const Corpus& corpus,
                   mpitrain::collectives::Communicator& ranks,
                   Learner& learner) {
    const Narrator narrator(ranks.rank() == 0);
    Trainer trainer(corpus, options, ranks, learner);
    narrator.say("text: {} characters to learn from, {} to be tested on, {} different ones",
                 corpus.training().count(),
                 corpus.validation().count(),
                 corpus.alphabet_size());
    narrator.say(
        "model: {} parameters on {} ranks", learner.model().parameters().size(), ranks.size());
    std::optional<Snapshots> snapshots;
    if (const auto directory = checkpoint_directory(options); !directory.empty()) {
        MPITRAIN_TRY(snapshots, Snapshots::open(directory, corpus, options, ranks));
        MPITRAIN_TRY(const auto step, resume(*snapshots, trainer));
        if (step) {
            narrator.say("resumed at step {}", *step);
        }
    }
    MPITRAIN_TRY(const bool finished, train(options, trainer, snapshots, narrator));
    MPITRAIN_TRY_VOID(commit(snapshots, trainer));
    if (!finished) {
        narrator.say(
            "stopped at step {}{}",
            trainer.step(),
            snapshots ? "; committed" : "; nothing is kept without a checkpoint directory");
        return {};
    }
    MPITRAIN_TRY(const double loss, trainer.validate());
    narrator.say("words of its own:");
    MPITRAIN_TRY(const auto lines, trainer.write_lines(options.samples));
    for (const std::string& line : lines) {
        narrator.say("    {}", line);
    }
    narrator.say("unigram entropy {:.4f} nats per character: the loss of counting alone",
                 corpus.unigram_entropy());
    narrator.say("final loss {:.6f} ({:a})", loss, loss);
    return {};
}

}  // namespace char_lm
