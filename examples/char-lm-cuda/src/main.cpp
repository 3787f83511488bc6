// char-lm-cuda: char-lm's model on one GPU per rank.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "cuda_learner.hpp"
#include "mpitrain/collectives/communicator.hpp"
#include "mpitrain/collectives/nccl.hpp"
#include "options.hpp"
#include "training.hpp"

namespace {

using mpitrain::Result;
using mpitrain::collectives::Communicator;
using mpitrain::collectives::Environment;
using mpitrain::collectives::NcclOptions;

// The launcher shows the job's GPUs in the order of the ranks of a node, or to each its own alone.
Result<int> choose_gpu() {
    int count = 0;
    MPITRAIN_TRY_VOID(char_lm::cuda_checked(cudaGetDeviceCount(&count), "looking for a GPU"));
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread of this program changes the environment
    const char* local_rank = std::getenv("LOCAL_RANK");
    if (local_rank == nullptr) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): as above
        local_rank = std::getenv("OMPI_COMM_WORLD_LOCAL_RANK");
    }
    return count == 0 ? 0 : std::atoi(local_rank != nullptr ? local_rank : "0") % count;
}

Result<void> run(const char_lm::Options& options) {
    MPITRAIN_TRY(auto environment, Environment::open());
    {
        MPITRAIN_TRY(auto ranks, Communicator::world(environment));
        // A rank without a GPU must still come to open_nccl(), or the others would wait for it.
        const auto gpu = choose_gpu();
        NcclOptions nccl;
        nccl.device = gpu.value_or(0);
        MPITRAIN_TRY(auto on_gpus, open_nccl(ranks, nccl));
        MPITRAIN_TRY(const auto corpus, char_lm::Corpus::load(options.data));
        MPITRAIN_TRY(
            auto learner,
            char_lm::CudaLearner::open(char_lm::shape_of(corpus, options), options.seed, on_gpus));
        MPITRAIN_TRY_VOID(char_lm::train(options, corpus, ranks, *learner));
    }
    return environment.close();
}

int failed(const mpitrain::Error& error, int exit_code) {
    fmt::print(stderr, "char-lm-cuda: {}\n", error.text());
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
