#pragma once

#include <mpi.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "backend.hpp"
#include "node/node_collectives.hpp"
#include "node/node_map.hpp"
#include "tree_collectives.hpp"
#include "two_levels.hpp"

namespace mpitrain::collectives {

// Collectives on host memory over an own MPI communicator: through shared memory where all ranks
// are of one node, in two levels where they are of several regular ones, else by messages. In
// rank_tree order MPI carries bytes only and never computes.
class MpiBackend final : public Backend, public Transport {
  public:
    // Duplicates `group`; collective over it. `seat` is where this rank runs; tests give one that
    // it does not.
    static Result<std::unique_ptr<Backend>> open(MPI_Comm group,
                                                 const CommunicatorOptions& options,
                                                 const Seat& seat = find_seat(),
                                                 bool in_background = false);
    // Owns `comm` from now on. Uses messages alone until share_memory().
    MpiBackend(MPI_Comm comm, int rank, int size, const CommunicatorOptions& options);
    MpiBackend(const MpiBackend&) = delete;
    MpiBackend& operator=(const MpiBackend&) = delete;
    ~MpiBackend() override;

    [[nodiscard]] MPI_Comm native() const { return comm_; }
    [[nodiscard]] BackendKind kind() const override { return BackendKind::mpi; }
    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] std::uint64_t group() const override { return group_; }
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
    Result<std::unique_ptr<Backend>> shrink(std::span<const int> without) override;
    void abort() override;

    Result<void> transfer(std::span<const Outgoing> outgoing,
                          std::span<const Incoming> incoming,
                          std::string_view call) override;
    Result<void> combine(
        const Pieces& pieces, std::size_t count, DataType type, ReduceOp op, void* out) override;
    Result<void> copy(void* to, const void* from, std::size_t bytes) override;
    Result<std::byte*> scratch(std::size_t bytes) override;

    // The same ranks a second time, for a thread beside the one that computes. Collective.
    Result<std::unique_ptr<Backend>> for_background();
    // Whether calls of another thread may run at the same time as calls of other communicators:
    // where MPI allows it, or is not needed.
    [[nodiscard]] bool may_run_beside_others() const;
    // Ends the waiting of the thread that calls, and of the others on the node, with unavailable.
    // The one call that another thread may make meanwhile.
    void end_waiting() {
        if (node_) {
            node_->give_up();
        }
    }
    // The memory that this rank's node shares; null where messages are all there is.
    [[nodiscard]] const NodeGroup* node() const { return node_.get(); }

  private:
    // Finds out who shares this node's memory, and attaches it: all ranks, or none where one of
    // them cannot. Collective.
    Result<void> share_memory(const Seat& seat);
    Result<std::unique_ptr<NodeGroup>> attach_node(const NodeMap& map);
    // Everyone's `mine`, in rank order.
    Result<void> gather(std::span<const std::byte> mine, std::span<std::byte> all);
    [[nodiscard]] bool on_one_node() const { return node_ != nullptr && node_->size() == size_; }
    Result<void> checked(Result<void> done);

    static constexpr std::size_t segment_bytes = std::size_t{8} << 20;
    static constexpr int message_tag = 0;
    static constexpr int collective_tag = 1;
    static constexpr int gathering_tag = 2;
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
    // A communicator of MPI, made beside this one, as a backend.
    Result<std::unique_ptr<Backend>> adopt(MPI_Comm comm);
    Error died(Error why);

    MPI_Comm comm_;
    int rank_;
    int size_;
    CommunicatorOptions options_;
    std::optional<Error> death_;
    std::vector<std::byte> scratch_;
    TreeCollectives tree_;
    Seat seat_;
    bool in_background_ = false;
    std::uint64_t group_ = 0;  // drawn by rank 0
    std::unique_ptr<NodeGroup> node_;
    std::optional<NodeCollectives> inside_;  // of the node
    std::optional<TwoLevels> levels_;
};

}  // namespace mpitrain::collectives
