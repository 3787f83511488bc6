#include "learner.hpp"

#include <algorithm>

namespace char_lm {

using mpitrain::Result;
using mpitrain::collectives::Buffer;
using mpitrain::collectives::Communicator;
using mpitrain::collectives::DataType;
using mpitrain::collectives::GradientReducer;
using mpitrain::collectives::ReduceOp;

ModelShape shape_of(const Corpus& corpus, const Options& options) {
    return {.alphabet = corpus.alphabet_size(), .hidden = options.hidden};
}

Result<GradientReducer> open_reducer(Communicator& ranks,
                                     const Model<float>& model,
                                     float* gradient,
                                     void* stream) {
    constexpr std::size_t bucket_bytes = std::size_t{64} << 10;  // about a layer of the usual model
    std::vector<Buffer> parts;
    for (const Tensor& tensor : model.tensors()) {
        parts.emplace_back(gradient + tensor.offset, tensor.count(), DataType::f32);
    }
    parts.emplace_back(gradient + model.parameters().size(), 1, DataType::f32);
    return GradientReducer::open(
        ranks,
        parts,
        {.op = ReduceOp::sum, .bucket_bytes = bucket_bytes, .compute_stream = stream});
}

HostLearner::HostLearner(const ModelShape& shape, std::uint64_t seed, Communicator& ranks)
    : ranks_(ranks),
      model_(shape),
      adam_(model_.parameters().size()),
      gradient_(model_.parameters().size() + 1) {
    model_.initialise(seed);
}

Result<double> HostLearner::learn(const Examples& own, const Step& step) {
    if (!reducer_) {
        MPITRAIN_TRY(auto reducer, open_reducer(ranks_, model_, gradient_.data()));
        reducer_.emplace(std::move(reducer));
    }
    std::fill(gradient_.begin(), gradient_.end(), 0.0F);
    const std::span<float> gradient(gradient_.data(), gradient_.size() - 1);
    const double loss =
        model_.learn(own.contexts, own.targets, gradient, [this](std::size_t tensor) {
            reducer_->ready(tensor);
        });
    gradient_.back() = static_cast<float>(loss);
    reducer_->ready(model_.tensors().size());
    MPITRAIN_TRY_VOID(reducer_->finish());
    const float scale = 1.0F / static_cast<float>(step.batch);
    for (float& element : gradient_) {
        element *= scale;
    }
    adam_.update(model_.parameters(), gradient, step.rate, step.number);
    return static_cast<double>(gradient_.back());
}

Result<double> HostLearner::loss(std::span<const Symbol> contexts,
                                 std::span<const Symbol> targets) {
    return model_.loss(contexts, targets);
}

}  // namespace char_lm
