#pragma once

#include <cstddef>
#include <memory>

#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/types.hpp"
#include "pieces.hpp"

namespace mpitrain::collectives {

// A GPU with one stream, as far as NcclBackend needs them; the seam by which it is tested without
// one. Nothing but idle() waits or looks at whether work is done.
class Device {
  public:
    virtual ~Device() = default;
    [[nodiscard]] virtual void* stream() const = 0;
    // The same GPU with a stream of its own.
    virtual Result<std::unique_ptr<Device>> another() const = 0;
    // Whether `memory` is this GPU's, or is managed. Errors: invalid_argument, saying whose it is.
    [[nodiscard]] virtual Result<void> reaches(const void* memory) const = 0;
    virtual Result<std::byte*> allocate(std::size_t bytes) = 0;
    virtual void release(std::byte* memory) = 0;
    // Either may be memory of the host; then it may wait until the bytes have been read or written.
    virtual Result<void> copy(void* to, const void* from, std::size_t bytes) = 0;
    virtual Result<void> zero(void* data, std::size_t bytes) = 0;
    // What is enqueued from now on begins after all that `other`, a stream of this GPU, holds now.
    virtual Result<void> follow(void* other) = 0;
    // In rank_tree order; `out` may be the own piece.
    virtual Result<void> combine(
        const Pieces& pieces, std::size_t count, DataType type, ReduceOp op, void* out) = 0;
    // Whether everything enqueued is done.
    virtual Result<bool> idle() = 0;
};

}  // namespace mpitrain::collectives
