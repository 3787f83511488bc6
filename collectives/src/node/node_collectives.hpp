#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "mpitrain/collectives/types.hpp"
#include "node/node_group.hpp"
#include "pieces.hpp"

namespace mpitrain::collectives {

// Collectives of the ranks of one node through the memory they share, in steps of an outbox each.
// Reductions combine the members in rank_tree order. Roots are numbers of members.
// Errors: those of NodeGroup::await; the group must not be used afterwards.
class NodeCollectives {
  public:
    explicit NodeCollectives(NodeGroup& group);

    Result<void> allreduce(ConstBuffer send, Buffer recv, ReduceOp op);
    Result<void> reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root);
    // Combines slices[member] of all members' `send` into `out`.
    Result<void> reduce_scatter(ConstBuffer send,
                                std::span<const Slice> slices,
                                ReduceOp op,
                                Buffer out);
    // Every member has slices[member] of `data` and gets the rest.
    Result<void> allgather(Buffer data, std::span<const Slice> slices);
    Result<void> broadcast(Buffer data, int root);
    // send and recv: size() equal parts.
    Result<void> all_to_all(ConstBuffer send, Buffer recv);
    Result<void> barrier();

  private:
    // For small data: everyone reads all outboxes and combines them alone; one signal.
    Result<void> allreduce_alone(ConstBuffer send, Buffer recv, ReduceOp op);
    // For the rest: each combines a slice and passes it on. The result goes to `root`, or to all.
    Result<void> reduce_shared(ConstBuffer send, Buffer recv, ReduceOp op, int root);
    // The slices of a segment that one step works on: equal but for the last ones, each beginning
    // on a cache line of its own.
    [[nodiscard]] Slice share_of(int member, std::size_t count, std::size_t element_bytes) const;
    void fill_others_slices(ConstBuffer segment, std::uint32_t step);
    // Combines all members' pieces, the others' at `offset` of their outbox, the own one given.
    void combine(std::uint32_t step, std::size_t offset, ConstBuffer own, ReduceOp op, void* out);
    Result<void> take_results(Buffer segment, std::uint32_t step, bool stream);

    NodeGroup& group_;
    std::vector<const void*> pieces_;
};

}  // namespace mpitrain::collectives
