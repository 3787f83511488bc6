#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/communicator.hpp"

namespace mpitrain::collectives {

// What gradients are sent as. The 16-bit types halve what is moved; what rounding takes away from a
// rank's gradient is kept and added to its next one, so that over steps nothing of it is lost.
enum class Compression : std::uint8_t { none, bf16, f16 };

struct GradientReducerOptions {
    ReduceOp op = ReduceOp::avg;  // sum or avg
    std::size_t bucket_bytes = std::size_t{4} << 20;
    Compression compression = Compression::none;  // f32 alone
    // Whether a thread of its own reduces while the caller computes. Across nodes that needs
    // Environment::open(ThreadUse::any). On GPUs there is no thread: work is enqueued, and
    // overlaps.
    bool overlap = true;
    // On GPUs: the cudaStream_t that gradients are computed on; null: CUDA's default stream.
    void* compute_stream = nullptr;
};

// Adds up the gradients of all ranks, bucket by bucket while the backward pass still computes the
// rest. Parameters are given in the order in which the forward pass uses them; the backward pass
// finishes them in reverse, and so do the buckets fill up.
//
// On host memory a gradient is complete when it is computed, on GPUs (a communicator of the nccl
// backend) when its computation is enqueued on the compute stream. finish() waits for all of it.
//
// In each step the caller says ready(i) once for each parameter whose gradient is complete and must
// not touch that gradient again until finish() has returned; then it holds the sum over all ranks.
// To accumulate over several batches, say ready() in the last one alone. A parameter that was not
// said to be ready when finish() is called was not used: it counts as zero, whatever its memory
// holds, and all ranks get the sum of those that did use it.
//
// Buckets go in a fixed order and each is combined in rank_tree order, so the bits are those of one
// allreduce over everything, whatever the timing (without compression).
// Memory: none where the parameters of a bucket lie side by side in memory, in the order given;
// else the largest bucket. Compression: half of that, and as much as all gradients for what is
// kept.
// One owner, one thread. finish() is collective; open() too.
class GradientReducer {
  public:
    // `gradients` are borrowed for the reducer's life, all of type f32 or all f64; `ranks`, whose
    // backend says where they live, for this call.
    // Errors: invalid_argument (types, op, compression of f64, none at all), unsupported (overlap
    // across nodes without ThreadUse::any; compression on GPUs), those of opening a communicator
    // (mpi) or splitting one (nccl).
    static Result<GradientReducer> open(Communicator& ranks,
                                        std::span<const Buffer> gradients,
                                        const GradientReducerOptions& options = {});
    GradientReducer(GradientReducer&&) noexcept;
    GradientReducer& operator=(GradientReducer&&) = delete;
    GradientReducer(const GradientReducer&) = delete;
    GradientReducer& operator=(const GradientReducer&) = delete;
    // In the middle of a step it gives up: finish() of the other ranks fails with unavailable (on
    // other nodes at their deadline, for which this waits too where a bucket is under way).
    ~GradientReducer();

    // The gradient of parameter `index` is complete. Never waits for other ranks if it overlaps.
    // A second time within a step, or an index that is none, is an error of finish().
    void ready(std::size_t index);
    // Returns when all gradients hold the sum (or average) over all ranks. The next step may then
    // begin. Errors: those of Communicator; the reducer is then dead. invalid_argument: see
    // ready(); the step was reduced all the same.
    Result<void> finish();

    // Of the step that finish() ended: whether any rank used the parameter. Where none did, its
    // gradient is zero and an optimizer may want to leave it alone.
    [[nodiscard]] bool used(std::size_t index) const;
    [[nodiscard]] std::size_t bucket_count() const;

  private:
    class Inside;
    explicit GradientReducer(std::unique_ptr<Inside> inside);
    std::unique_ptr<Inside> inside_;
};

}  // namespace mpitrain::collectives
