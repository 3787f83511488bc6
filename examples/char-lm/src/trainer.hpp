#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "corpus.hpp"
#include "learner.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/communicator.hpp"
#include "options.hpp"

namespace char_lm {

// Data-parallel training. Every rank holds all parameters, computes the gradient of its slice of
// each batch, and adds up the gradients with all ranks in rank_tree order while it computes those
// of earlier layers; so all ranks stay equal bit for bit, and a run is a function of its options,
// its text and the number of ranks alone.
//
// What must be kept to go on later is exactly step(), cursor(), the parameters and Adam's state:
// randomness has no state (random.hpp). All calls but the accessors are collective.
class Trainer {
  public:
    // `corpus`, `ranks` and `learner` must outlive the trainer.
    Trainer(const Corpus& corpus,
            const Options& options,
            mpitrain::collectives::Communicator& ranks,
            Learner& learner);

    // Takes the next step. Returns the mean loss over the batch, in nats per character.
    mpitrain::Result<double> advance();
    // The mean loss over the text that was held out, each rank computing its share.
    mpitrain::Result<double> validate();
    // New lines, written by the model; the same on every rank. Not collective.
    mpitrain::Result<std::vector<std::string>> write_lines(std::size_t count);

    [[nodiscard]] std::uint64_t step() const { return step_; }      // steps taken
    [[nodiscard]] std::uint64_t cursor() const { return cursor_; }  // examples used, by all ranks
    [[nodiscard]] Learner& learner() { return learner_; }
    // Goes on from here; the parameters and Adam's state have been put in place.
    void resume_at(std::uint64_t step, std::uint64_t cursor);

  private:
    // This rank's part of `count` things: begin and end.
    struct Share {
        std::uint64_t begin;
        std::uint64_t end;
    };
    [[nodiscard]] Share share_of(std::uint64_t count) const;
    [[nodiscard]] double learning_rate() const;
    void gather_batch();

    const Corpus& corpus_;
    Options options_;
    mpitrain::collectives::Communicator& ranks_;
    Learner& learner_;
    std::uint64_t step_ = 0;
    std::uint64_t cursor_ = 0;
    Examples batch_;  // this rank's slice
};

}  // namespace char_lm
