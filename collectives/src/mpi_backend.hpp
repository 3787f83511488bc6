#pragma once

#include <mpi.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "backend.hpp"

namespace mpitrain::collectives {

// Collectives on host memory over an own MPI communicator. Reductions in rank_tree order are an
// exchange of pieces (each rank owns one), a local reduction, and a spreading of the results; MPI
// carries bytes only and never computes.
class MpiBackend final : public Backend {
  public:
    // Duplicates `group`; collective over it.
    static Result<std::unique_ptr<Backend>> open(MPI_Comm group,
                                                 const CommunicatorOptions& options);
    // Owns `comm` from now on.
    MpiBackend(MPI_Comm comm, int rank, int size, const CommunicatorOptions& options);
    MpiBackend(const MpiBackend&) = delete;
    MpiBackend& operator=(const MpiBackend&) = delete;
    ~MpiBackend() override;

    [[nodiscard]] MPI_Comm native() const { return comm_; }
    [[nodiscard]] BackendKind kind() const override { return BackendKind::mpi; }
    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] Result<void> usable() const override;

    Result<void> broadcast(Buffer data, int root) override;
    Result<void> allreduce(ConstBuffer send, Buffer recv, ReduceOp op) override;
    Result<void> reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root) override;
    Result<void> reduce_scatter(ConstBuffer send, Buffer recv, ReduceOp op) override;
    Result<void> allgather(ConstBuffer send, Buffer recv) override;
    Result<void> all_to_all(ConstBuffer send, Buffer recv) override;
    Result<void> send_recv(ConstBuffer data, int to, Buffer into, int from) override;
    Result<void> barrier() override;
    Result<void> synchronize() override { return {}; }
    Result<std::unique_ptr<Backend>> split(std::optional<int> color, int key) override;
    void abort() override;

  private:
    static constexpr int message_tag = 0;
    static constexpr int collective_tag = 1;
    // One message to or from a peer.
    struct Outgoing {
        int to;
        const std::byte* data;
        std::size_t bytes;
    };
    struct Incoming {
        int from;
        std::byte* data;
        std::size_t bytes;
    };
    struct Slice {  // of a buffer, in elements
        std::size_t begin;
        std::size_t count;
    };

    // All messages at once, until all are done.
    Result<void> transfer(std::span<const Outgoing> outgoing,
                          std::span<const Incoming> incoming,
                          int tag,
                          std::string_view call);
    // Reduces all ranks' slices[rank()] of `send` into `out` (null: into the scratch memory) and
    // returns where the result is. The slices of all ranks are sent in the same exchange.
    Result<std::byte*> reduce_slices(ConstBuffer send,
                                     std::span<const Slice> slices,
                                     ReduceOp op,
                                     std::byte* out,
                                     std::string_view call);
    // For small counts: everyone gets everything and reduces it alone.
    Result<void> allreduce_gathered(ConstBuffer send, Buffer recv, ReduceOp op);
    // The other way round: every rank has slices[rank()] of `data` and gets the rest.
    Result<void> spread_slices(Buffer data, std::span<const Slice> slices, std::string_view call);
    // By MPI's own algorithms, to all ranks or to `root`.
    Result<void> reduce_natively(ConstBuffer send,
                                 Buffer recv,
                                 ReduceOp op,
                                 std::optional<int> root);
    // [begin, begin + count) in size() parts that differ by one element at most.
    [[nodiscard]] std::vector<Slice> equal_slices(std::size_t begin, std::size_t count) const;
    std::byte* scratch(std::size_t bytes);
    // The peers in an order of their own for each rank, so that not all send to rank 0 first.
    [[nodiscard]] int peer(int distance) const { return (rank_ + distance) % size_; }
    Result<void> wait(std::span<MPI_Request> requests, std::string_view call);
    Error died(Error why);

    MPI_Comm comm_;
    int rank_;
    int size_;
    CommunicatorOptions options_;
    std::optional<Error> death_;
    std::vector<std::byte> scratch_;
};

}  // namespace mpitrain::collectives
