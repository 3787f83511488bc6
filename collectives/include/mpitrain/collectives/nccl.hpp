#pragma once

#include <optional>
#include <string>

#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/communicator.hpp"

namespace mpitrain::collectives {

struct NcclOptions {
    CommunicatorOptions common;
    // NCCL is opened at run time, so that one program serves machines with and without it.
    std::string library = "libnccl.so.2";
    // The GPU, as the CUDA runtime numbers them; it becomes this thread's current device. nullopt:
    // the one that is current. Every rank of a node needs one of its own.
    std::optional<int> device;
    // A cudaStream_t on which everything is enqueued, borrowed; null: one of the communicator's
    // own.
    void* stream = nullptr;
};

// A communicator over the same ranks for memory on GPUs. Collective; `ranks` carries the id that
// NCCL's ranks find each other by, and is not needed afterwards. Destroying it waits for what was
// enqueued, at most for the deadline.
// Errors: unsupported (built without CUDA, or this NCCL is too old), unavailable (no NCCL, no
// GPU), deadline_exceeded (a rank did not come), invalid_argument (two ranks on one GPU).
Result<Communicator> open_nccl(Communicator& ranks, const NcclOptions& options = {});

// The same over all ranks of the job without MPI: they find each other through PMIx, which every
// engine of mpitrain offers. PMIx then stays initialised until the process ends, and MPI may still
// be started later. Errors also: unavailable (no PMIx), unsupported (built without it).
Result<Communicator> open_nccl_by_pmix(const NcclOptions& options = {});

// The cudaStream_t its work is enqueued on, borrowed, to order kernels with it. Errors:
// invalid_argument for another backend.
Result<void*> nccl_stream(Communicator& communicator);

}  // namespace mpitrain::collectives
