#pragma once

#include <memory>
#include <optional>
#include <span>

#include "mpitrain/collectives/communicator.hpp"

namespace mpitrain::collectives {

// One library below. Communicator has checked every argument: types agree, counts fit, roots and
// peers exist, buffers are not null unless empty, and there is at least one element.
class Backend {
  public:
    virtual ~Backend() = default;
    [[nodiscard]] virtual BackendKind kind() const = 0;
    [[nodiscard]] virtual int rank() const = 0;
    [[nodiscard]] virtual int size() const = 0;
    // The same number on all ranks, and on no other group of them; 0 = none.
    [[nodiscard]] virtual std::uint64_t group() const { return 0; }
    // Why no further call can work, or success.
    [[nodiscard]] virtual Result<void> usable() const = 0;
    // Whether `memory` is of a kind that this backend works on. Errors: invalid_argument.
    [[nodiscard]] virtual Result<void> reaches(const void* /*memory*/) const { return {}; }

    virtual Result<void> broadcast(Buffer data, int root) = 0;
    virtual Result<void> allreduce(ConstBuffer send, Buffer recv, ReduceOp op) = 0;
    virtual Result<void> reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root) = 0;
    virtual Result<void> reduce_scatter(ConstBuffer send, Buffer recv, ReduceOp op) = 0;
    virtual Result<void> allgather(ConstBuffer send, Buffer recv) = 0;
    virtual Result<void> all_to_all(ConstBuffer send, Buffer recv) = 0;
    // Either may be empty (count 0), then its peer is not looked at.
    virtual Result<void> send_recv(ConstBuffer data, int to, Buffer into, int from) = 0;
    virtual Result<void> barrier() = 0;
    virtual Result<void> synchronize() = 0;
    virtual Result<std::unique_ptr<Backend>> split(std::optional<int> color, int key) = 0;
    // Called by the ranks that stay, usable or not. `without`: some others, ascending.
    virtual Result<std::unique_ptr<Backend>> shrink(std::span<const int> without) = 0;
    virtual void abort() = 0;
};

Backend& backend_of(Communicator& communicator);

}  // namespace mpitrain::collectives
