#pragma once

#include <memory>
#include <optional>
#include <string>

#include "corpus.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/checkpointer.hpp"
#include "options.hpp"
#include "trainer.hpp"

namespace char_lm {

// Saves a trainer to a directory of checkpoints and restores it. All calls are collective.
class Snapshots {
  public:
    // `ranks` must outlive the result.
    static mpitrain::Result<Snapshots> open(const std::string& directory,
                                            const Corpus& corpus,
                                            const Options& options,
                                            mpitrain::collectives::Communicator& ranks);

    // Commits the trainer's state as its step, unless the last commit was of this step already.
    mpitrain::Result<void> save(Trainer& trainer);
    // Restores the commit at `path`, or the newest that is whole. Returns the step it continues
    // from, nullopt when the directory holds none.
    mpitrain::Result<std::optional<std::uint64_t>> restore(Trainer& trainer,
                                                           const std::optional<std::string>& path);

  private:
    Snapshots() = default;
    std::unique_ptr<mpitrain::checkpoint::Peers> peers_;
    std::unique_ptr<mpitrain::checkpoint::Checkpointer> checkpoints_;  // uses peers_
    std::optional<std::uint64_t> last_step_;  // of the last commit saved or restored
};

}  // namespace char_lm
