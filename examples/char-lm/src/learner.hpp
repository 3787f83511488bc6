#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "adam.hpp"
#include "corpus.hpp"
#include "model.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/communicator.hpp"
#include "mpitrain/collectives/gradient_reducer.hpp"
#include "options.hpp"

namespace char_lm {

// Where the arithmetic of training happens: on this host, or on a GPU.
class Learner {
  public:
    struct Step {
        std::uint64_t number = 1;  // from 1
        std::uint64_t batch = 0;   // examples of all ranks
        double rate = 0;
    };
    virtual ~Learner() = default;
    // All state there is, in the host's memory; elsewhere as of the last fetch().
    virtual Model<float>& model() = 0;
    virtual Adam& adam() = 0;
    // Adds up the gradients of all ranks' examples, of which these are the own, and moves the
    // parameters. Returns the mean loss in nats. Collective.
    virtual mpitrain::Result<double> learn(const Examples& own, const Step& step) = 0;
    // The sum of the loss over these examples.
    virtual mpitrain::Result<double> loss(std::span<const Symbol> contexts,
                                          std::span<const Symbol> targets) = 0;
    // Brings the state into the host's memory, or puts in place what was written there.
    virtual mpitrain::Result<void> fetch() = 0;
    virtual mpitrain::Result<void> place() = 0;
};

// The shape of the model that these options make of this text.
ModelShape shape_of(const Corpus& corpus, const Options& options);

class HostLearner final : public Learner {
  public:
    // `ranks` must outlive the learner.
    HostLearner(const ModelShape& shape,
                std::uint64_t seed,
                mpitrain::collectives::Communicator& ranks);

    Model<float>& model() override { return model_; }
    Adam& adam() override { return adam_; }
    mpitrain::Result<double> learn(const Examples& own, const Step& step) override;
    mpitrain::Result<double> loss(std::span<const Symbol> contexts,
                                  std::span<const Symbol> targets) override;
    mpitrain::Result<void> fetch() override { return {}; }
    mpitrain::Result<void> place() override { return {}; }

  private:
    mpitrain::collectives::Communicator& ranks_;
    Model<float> model_;
    Adam adam_;
    std::vector<float> gradient_;  // one more than the parameters: the loss travels along
    std::optional<mpitrain::collectives::GradientReducer> reducer_;  // of the tensors and the loss
};

// A reducer of gradients laid out like the parameters of `model` and followed by the loss; on the
// memory of `ranks`' backend, computed on `stream` where that is a GPU's. Collective.
mpitrain::Result<mpitrain::collectives::GradientReducer> open_reducer(
    mpitrain::collectives::Communicator& ranks,
    const Model<float>& model,
    float* gradient,
    void* stream = nullptr);

}  // namespace char_lm
