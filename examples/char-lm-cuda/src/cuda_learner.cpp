#include "cuda_learner.hpp"

#include <algorithm>
#include <cmath>

#include "cuda_passes.hpp"
#include "layout.hpp"

namespace char_lm {

using mpitrain::Result;
using mpitrain::collectives::Communicator;

CudaLearner::CudaLearner(const ModelShape& shape, std::uint64_t seed, Communicator& ranks)
    : ranks_(ranks),
      model_(shape),
      adam_(model_.parameters().size()),
      layout_(layout_of(shape, model_)) {
    model_.initialise(seed);
}

CudaLearner::~CudaLearner() {
    reducer_.reset();  // its work uses the arrays
    if (stream_ != nullptr) {
        cudaStreamDestroy(stream_);
    }
    if (picked_here_ != nullptr) {
        cudaEventDestroy(picked_here_);
    }
}

Result<std::unique_ptr<CudaLearner>> CudaLearner::open(const ModelShape& shape,
                                                       std::uint64_t seed,
                                                       Communicator& ranks) {
    std::unique_ptr<CudaLearner> learner(new CudaLearner(shape, seed, ranks));
    MPITRAIN_TRY_VOID(learner->allocate());
    MPITRAIN_TRY_VOID(learner->place());
    return learner;
}

Result<void> CudaLearner::allocate() {
    MPITRAIN_TRY_VOID(cuda_checked(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
                                   "cudaStreamCreate"));
    MPITRAIN_TRY_VOID(cuda_checked(cudaEventCreateWithFlags(&picked_here_, cudaEventDisableTiming),
                                   "cudaEventCreate"));
    const std::size_t count = model_.parameters().size();
    for (auto* each : {&parameters_, &mean_, &square_}) {
        MPITRAIN_TRY_VOID(each->grow(count));
    }
    MPITRAIN_TRY_VOID(gradient_.grow(count + 1));
    MPITRAIN_TRY(auto reducer, open_reducer(ranks_, model_, gradient_.data(), stream_));
    reducer_.emplace(std::move(reducer));
    return {};
}

Result<void> CudaLearner::finish_stream() {
    return cuda_checked(cudaStreamSynchronize(stream_), "a kernel of the model");
}

Result<void> CudaLearner::fetch() {
    const std::size_t bytes = model_.parameters().size_bytes();
    MPITRAIN_TRY_VOID(cuda_copy(model_.parameters().data(), parameters_.data(), bytes, stream_));
    MPITRAIN_TRY_VOID(cuda_copy(adam_.mean().data(), mean_.data(), bytes, stream_));
    MPITRAIN_TRY_VOID(cuda_copy(adam_.square().data(), square_.data(), bytes, stream_));
    return finish_stream();
}

Result<void> CudaLearner::place() {
    const std::size_t bytes = model_.parameters().size_bytes();
    MPITRAIN_TRY_VOID(cuda_copy(parameters_.data(), model_.parameters().data(), bytes, stream_));
    MPITRAIN_TRY_VOID(cuda_copy(mean_.data(), adam_.mean().data(), bytes, stream_));
    MPITRAIN_TRY_VOID(cuda_copy(square_.data(), adam_.square().data(), bytes, stream_));
    return finish_stream();
}

Result<PassArrays> CudaLearner::load(std::span<const Symbol> contexts,
                                     std::span<const Symbol> targets) {
    const std::size_t rows = targets.size();
    MPITRAIN_TRY_VOID(finish_stream());  // arrays that grow are in use by nothing
    MPITRAIN_TRY_VOID(contexts_.grow(contexts.size()));
    MPITRAIN_TRY_VOID(targets_.grow(rows));
    MPITRAIN_TRY_VOID(picked_.grow(rows));
    MPITRAIN_TRY_VOID(output_.grow(rows * layout_.alphabet));
    for (auto* each : {&hidden_, &hidden_change_}) {
        MPITRAIN_TRY_VOID(each->grow(rows * layout_.hidden));
    }
    for (auto* each : {&input_, &input_change_}) {
        MPITRAIN_TRY_VOID(each->grow(rows * layout_.inputs()));
    }
    MPITRAIN_TRY_VOID(cuda_copy(contexts_.data(), contexts.data(), contexts.size(), stream_));
    MPITRAIN_TRY_VOID(cuda_copy(targets_.data(), targets.data(), rows, stream_));
    return PassArrays{.rows = rows,
                      .contexts = contexts_.data(),
                      .targets = targets_.data(),
                      .parameters = parameters_.data(),
                      .gradient = gradient_.data(),
                      .input = input_.data(),
                      .hidden = hidden_.data(),
                      .output = output_.data(),
                      .hidden_change = hidden_change_.data(),
                      .input_change = input_change_.data(),
                      .picked = picked_.data()};
}

// As Model::loss_of() adds it up.
Result<double> CudaLearner::picked_loss(std::size_t rows) {
    constexpr float least = 1e-30F;
    MPITRAIN_TRY_VOID(cuda_checked(cudaEventSynchronize(picked_here_), "a kernel of the model"));
    picked_on_host_.resize(rows);
    MPITRAIN_TRY_VOID(cuda_checked(
        cudaMemcpy(
            picked_on_host_.data(), picked_.data(), rows * sizeof(float), cudaMemcpyDeviceToHost),
        "cudaMemcpy"));
    double sum = 0;
    for (const float probability : picked_on_host_) {
        sum -= std::log(static_cast<double>(std::max(probability, least)));
    }
    return sum;
}

Result<double> CudaLearner::learn(const Examples& own, const Step& step) {
    const std::size_t count = model_.parameters().size();
    MPITRAIN_TRY(const PassArrays in, load(own.contexts, own.targets));
    MPITRAIN_TRY_VOID(
        cuda_checked(cudaMemsetAsync(gradient_.data(), 0, (count + 1) * sizeof(float), stream_),
                     "cudaMemsetAsync"));
    MPITRAIN_TRY_VOID(
        cuda_checked(enqueue_forward(layout_, in, true, stream_), "the forward pass"));
    MPITRAIN_TRY_VOID(cuda_checked(cudaEventRecord(picked_here_, stream_), "cudaEventRecord"));
    MPITRAIN_TRY_VOID(cuda_checked(
        enqueue_backward(
            layout_, in, [this](std::size_t tensor) { reducer_->ready(tensor); }, stream_),
        "the backward pass"));
    // While the backward pass goes on.
    MPITRAIN_TRY(const double loss, picked_loss(in.rows));
    const auto own_loss = static_cast<float>(loss);
    MPITRAIN_TRY_VOID(cuda_copy(gradient_.data() + count, &own_loss, sizeof own_loss, stream_));
    reducer_->ready(model_.tensors().size());
    MPITRAIN_TRY_VOID(reducer_->finish());
    const CudaAdam move{parameters_.data(), mean_.data(), square_.data(), gradient_.data(), count};
    MPITRAIN_TRY_VOID(cuda_checked(
        enqueue_adam(
            move, 1.0F / static_cast<float>(step.batch), AdamStep(step.rate, step.number), stream_),
        "Adam's step"));
    float mean_loss = 0;
    MPITRAIN_TRY_VOID(cuda_copy(&mean_loss, gradient_.data() + count, sizeof mean_loss, stream_));
    MPITRAIN_TRY_VOID(finish_stream());
    return static_cast<double>(mean_loss);
}

Result<double> CudaLearner::loss(std::span<const Symbol> contexts,
                                 std::span<const Symbol> targets) {
    MPITRAIN_TRY(const PassArrays in, load(contexts, targets));
    MPITRAIN_TRY_VOID(
        cuda_checked(enqueue_forward(layout_, in, false, stream_), "the forward pass"));
    MPITRAIN_TRY_VOID(cuda_checked(cudaEventRecord(picked_here_, stream_), "cudaEventRecord"));
    return picked_loss(in.rows);
}

}  // namespace char_lm
