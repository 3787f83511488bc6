#pragma once

#include "corpus.hpp"
#include "learner.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/communicator.hpp"
#include "options.hpp"

namespace char_lm {

// One run from start or resumption to its end, or to where mpitrain asks it to stop: trains,
// reports progress, commits checkpoints, and at the end writes the loss and some words to stdout.
// Collective over `ranks`, of the mpi backend; `learner` is of the same ranks.
mpitrain::Result<void> train(const Options& options,
                             const Corpus& corpus,
                             mpitrain::collectives::Communicator& ranks,
                             Learner& learner);

}  // namespace char_lm
