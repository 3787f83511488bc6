#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend.hpp"
#include "mpitrain/collectives/communicator.hpp"

namespace mpitrain::collectives {

// Where gradients live, as far as a GradientReducer touches them itself. On hosts everything is
// done on return; on devices it is enqueued behind the reducer's collectives.
class ReducerMemory {
  public:
    virtual ~ReducerMemory() = default;
    // Whether the collectives themselves go on beside the caller, so that no thread need wait.
    [[nodiscard]] virtual bool is_asynchronous() const = 0;
    // What follows sees what the caller computed up to now.
    virtual Result<void> follow_computation() = 0;
    virtual Result<void> copy(void* to, const void* from, std::size_t bytes) = 0;
    virtual Result<void> zero(void* data, std::size_t bytes) = 0;
    // At least that much, the same each time, and what it held is lost.
    virtual Result<std::byte*> scratch(std::size_t bytes) = 0;
    // `any` of each flag over all ranks, in the caller's memory. Collective; waits for all that was
    // enqueued, and the caller's later computation sees the results of it.
    virtual Result<void> any_of(Communicator& ranks,
                                const std::vector<std::uint8_t>& mine,
                                std::vector<std::uint8_t>& any) = 0;
};

std::unique_ptr<ReducerMemory> host_reducer_memory();
// `backend` is an NcclBackend and must outlive the result; `compute_stream` a cudaStream_t.
// Errors: unsupported (built without CUDA).
Result<std::unique_ptr<ReducerMemory>> device_reducer_memory(Backend& backend,
                                                             void* compute_stream);

}  // namespace mpitrain::collectives
