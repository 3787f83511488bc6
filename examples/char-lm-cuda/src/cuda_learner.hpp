#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <optional>

#include "cuda_memory.hpp"
#include "learner.hpp"
#include "passes.hpp"

namespace char_lm {

// A learner whose parameters, gradients and Adam's state live on a GPU. Given the same ranks and
// text it takes the same steps as HostLearner, bit for bit.
class CudaLearner final : public Learner {
  public:
    // `ranks` is of the nccl backend, on the GPU that is current, and must outlive the learner.
    // Errors: those of CUDA.
    static mpitrain::Result<std::unique_ptr<CudaLearner>> open(
        const ModelShape& shape, std::uint64_t seed, mpitrain::collectives::Communicator& ranks);
    ~CudaLearner() override;
    CudaLearner(const CudaLearner&) = delete;
    CudaLearner& operator=(const CudaLearner&) = delete;

    Model<float>& model() override { return model_; }
    Adam& adam() override { return adam_; }
    mpitrain::Result<double> learn(const Examples& own, const Step& step) override;
    mpitrain::Result<double> loss(std::span<const Symbol> contexts,
                                  std::span<const Symbol> targets) override;
    mpitrain::Result<void> fetch() override;
    mpitrain::Result<void> place() override;

  private:
    CudaLearner(const ModelShape& shape,
                std::uint64_t seed,
                mpitrain::collectives::Communicator& ranks);
    mpitrain::Result<void> allocate();
    // Brings the examples to the GPU, and gives the arrays of a pass over them.
    mpitrain::Result<PassArrays> load(std::span<const Symbol> contexts,
                                      std::span<const Symbol> targets);
    // The sum of the loss of the last forward pass. Waits for it, and for nothing after it.
    mpitrain::Result<double> picked_loss(std::size_t rows);
    mpitrain::Result<void> finish_stream();

    mpitrain::collectives::Communicator& ranks_;
    Model<float> model_;
    Adam adam_;
    PassLayout layout_;
    cudaStream_t stream_ = nullptr;
    cudaEvent_t picked_here_ = nullptr;
    CudaArray<float> parameters_, mean_, square_;
    CudaArray<float> gradient_;  // and the loss
    CudaArray<float> input_, hidden_, output_, hidden_change_, input_change_, picked_;
    CudaArray<std::uint8_t> contexts_, targets_;
    std::vector<float> picked_on_host_;
    std::optional<mpitrain::collectives::GradientReducer> reducer_;
};

}  // namespace char_lm
