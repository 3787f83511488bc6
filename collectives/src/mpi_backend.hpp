#pragma once

#include <mpi.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "backend.hpp"
#include "tree_collectives.hpp"

namespace mpitrain::collectives {

// Collectives on host memory over an own MPI communicator. In rank_tree order MPI carries bytes
// only and never computes.
class MpiBackend final : public Backend, public Transport {
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
    Result<void> reduce_scatter(ConstBuffer send, Buffer recv, ReduceOp op) override {
        return tree_.reduce_scatter(send, recv, op);
    }
    Result<void> allgather(ConstBuffer send, Buffer recv) override {
        return tree_.allgather(send, recv);
    }
    Result<void> all_to_all(ConstBuffer send, Buffer recv) override {
        return tree_.all_to_all(send, recv);
    }
    Result<void> send_recv(ConstBuffer data, int to, Buffer into, int from) override;
    Result<void> barrier() override;
    Result<void> synchronize() override { return {}; }
    Result<std::unique_ptr<Backend>> split(std::optional<int> color, int key) override;
    void abort() override;

    Result<void> transfer(std::span<const Outgoing> outgoing,
                          std::span<const Incoming> incoming,
                          std::string_view call) override;
    Result<void> combine(
        const Pieces& pieces, std::size_t count, DataType type, ReduceOp op, void* out) override;
    Result<void> copy(void* to, const void* from, std::size_t bytes) override;
    Result<std::byte*> scratch(std::size_t bytes) override;

  private:
    static constexpr int message_tag = 0;
    static constexpr int collective_tag = 1;
    // As transfer(), with a tag that keeps messages and collectives apart.
    Result<void> exchange(std::span<const Outgoing> outgoing,
                          std::span<const Incoming> incoming,
                          int tag,
                          std::string_view call);
    // By MPI's own algorithms, to all ranks or to `root`.
    Result<void> reduce_natively(ConstBuffer send,
                                 Buffer recv,
                                 ReduceOp op,
                                 std::optional<int> root);
    Result<void> wait(std::span<MPI_Request> requests, std::string_view call);
    Error died(Error why);

    MPI_Comm comm_;
    int rank_;
    int size_;
    CommunicatorOptions options_;
    std::optional<Error> death_;
    std::vector<std::byte> scratch_;
    TreeCollectives tree_;
};

}  // namespace mpitrain::collectives
