#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/environment.hpp"
#include "mpitrain/collectives/types.hpp"
#include "mpitrain/recorder/operation_page.hpp"

namespace mpitrain::collectives {

enum class BackendKind : std::uint8_t { mpi, nccl };

// In what order a reduction combines the ranks' elements.
enum class ReductionOrder : std::uint8_t {
    // A fixed binary tree over rank numbers, ((0 1)(2 3))((4 5)…): the bits of the result depend on
    // the inputs and the number of ranks alone, not on timing, node layout, sizes or backend.
    // f16 and bf16 are combined in f32 and rounded once.
    rank_tree,
    any,  // whatever the library below finds fastest
};

struct CommunicatorOptions {
    ReductionOrder order = ReductionOrder::rank_tree;
    // The longest any one call may wait for the other ranks.
    Nanoseconds deadline = std::chrono::minutes(10);
    // Whether ranks of one node may use memory that they share; without it, and where one of them
    // cannot, all goes through MPI. Backend mpi.
    bool shared_memory = true;
};

class Backend;  // internal: one per library below

// A group of ranks that work together; `rank` is always the number within this group. Every call
// but rank(), size(), backend(), abort(), send() and recv() is collective: all ranks make the same
// calls in the same order, with equal counts, types, ops and roots.
//
// Memory: host pointers for the mpi backend, device pointers for the nccl backend. Buffers may be
// the same (in place) where a comment says so, and must not overlap otherwise. Host calls are done
// when they return; device calls are enqueued on the communicator's stream, and synchronize()
// waits for them.
//
// Errors of every call: invalid_argument (null buffer, count, type, root; nothing was sent, the
// communicator stays usable; but where ranks share memory and another of them made another call,
// it is dead), deadline_exceeded or unavailable (a rank did not come or is gone; the
// communicator is dead, every later call fails with the same error, and the buffers of the failed
// call must live until the process ends). Contents of an output are unspecified on error.
// Under mpitrain, collectives are noted by the flight recorder (mpitrain/recorder), so that a rank
// that does not come can be named.
// Not thread-safe: one call at a time. Movable; destroying an mpi one never waits.
class Communicator {
  public:
    // All ranks of the job, on MPI and host memory. Collective. `environment` must outlive the
    // calls, not the object: after Environment::close() every call fails with unavailable.
    static Result<Communicator> world(const Environment& environment,
                                      const CommunicatorOptions& options = {});
    explicit Communicator(std::unique_ptr<Backend> backend);
    Communicator(const Communicator&) = delete;
    Communicator& operator=(const Communicator&) = delete;
    Communicator(Communicator&&) noexcept;
    Communicator& operator=(Communicator&&) noexcept;
    ~Communicator();

    [[nodiscard]] int rank() const;
    [[nodiscard]] int size() const;
    [[nodiscard]] BackendKind backend() const;

    // Copies `data` of rank `root` into `data` of all ranks.
    Result<void> broadcast(Buffer data, int root);

    // Combines the ranks' elements one by one, the result to all ranks, to `root` (elsewhere
    // `recv` is not used), or the r-th of size() equal parts to rank r (send.count = size() *
    // recv.count). `recv` may be `send`, for reduce_scatter only where it is apart.
    // Cost of rank_tree: as many bytes as a bandwidth-optimal all-reduce, and up to 8 MiB of
    // memory, apart from what a node's ranks share (1.5 MiB each, 3 MiB where they share cores).
    Result<void> allreduce(ConstBuffer send, Buffer recv, ReduceOp op);
    Result<void> allreduce(Buffer data, ReduceOp op) { return allreduce(data, data, op); }
    Result<void> reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root);
    Result<void> reduce_scatter(ConstBuffer send, Buffer recv, ReduceOp op);

    // Puts the ranks' `send` one after another into everyone's `recv` (recv.count = size() *
    // send.count). `send` may be this rank's own part of `recv`.
    Result<void> allgather(ConstBuffer send, Buffer recv);

    // Sends the r-th of size() equal parts of `send` to rank r; its part lands in `recv` at the
    // sender's place. recv.count = send.count, a multiple of size().
    Result<void> all_to_all(ConstBuffer send, Buffer recv);

    // Between two ranks; messages of one pair keep their order. The receiver gives the exact count.
    // send() may wait for its recv(): ranks that exchange use send_recv().
    Result<void> send(ConstBuffer data, int to);
    Result<void> recv(Buffer data, int from);
    Result<void> send_recv(ConstBuffer data, int to, Buffer into, int from);

    // Returns when all ranks have called it (and, for nccl, all enqueued work is done).
    Result<void> barrier();
    // Waits for what was enqueued. At once for mpi.
    Result<void> synchronize();

    // The ranks that give the same colour, ordered by `key`, then by rank; none for a rank without
    // a colour. Options are inherited.
    Result<std::optional<Communicator>> split(std::optional<int> color, int key);

    // The ranks but those in `without`, in their order; called by those that stay alone. With nccl
    // also after a call has failed because ranks are gone, and then the others go on without them;
    // with mpi only while this communicator is usable, since MPI itself does not outlive its ranks.
    // Errors: invalid_argument (this rank, or none, is in `without`), unsupported (this NCCL
    // cannot).
    Result<Communicator> shrink(std::span<const int> without);

    // Gives up at once and alone, without waiting: calls fail from now on, and those of the other
    // ranks end with unavailable (nccl, and mpi on the same node) or at their deadline. Use when
    // this rank cannot go on.
    void abort();

  private:
    friend Backend& backend_of(Communicator& communicator);
    // What the flight recorder is told of a call. Counts it.
    recorder::Operation next_operation(recorder::OperationKind kind,
                                       ConstBuffer data,
                                       std::optional<ReduceOp> op = std::nullopt,
                                       int root = -1);
    std::unique_ptr<Backend> backend_;
    std::uint64_t operations_ = 0;
};

// Everyone's bytes, in rank order, of any and different lengths: for small control data.
// Collective. Backend mpi. Memory: size() times the longest.
Result<std::vector<std::string>> exchange_bytes(Communicator& communicator, std::string_view mine);

}  // namespace mpitrain::collectives
