#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "transport.hpp"

namespace mpitrain::collectives {

// The collectives that are made of messages between pairs of ranks, the same for every backend.
// Reductions cut the data into one slice per rank: each rank gets everyone's part of its slice,
// combines them in rank_tree order, and passes the result on. That moves as few bytes as any
// algorithm can, and lets no message's arrival decide about bits.
class TreeCollectives {
  public:
    // `transport` must outlive this. `segment_bytes` bounds the scratch memory of a reduction.
    TreeCollectives(Transport& transport, int rank, int size, std::size_t segment_bytes)
        : transport_(transport), rank_(rank), size_(size), segment_bytes_(segment_bytes) {}

    Result<void> allreduce(ConstBuffer send, Buffer recv, ReduceOp op);
    Result<void> reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root);
    Result<void> reduce_scatter(ConstBuffer send, Buffer recv, ReduceOp op);
    Result<void> allgather(ConstBuffer send, Buffer recv);
    Result<void> all_to_all(ConstBuffer send, Buffer recv);

  private:
    // Combines all ranks' slices[rank()] of `send` into `out` (null: into the scratch memory) and
    // returns where the result is. The slices of all ranks are sent in the same exchange.
    Result<std::byte*> reduce_slices(ConstBuffer send,
                                     std::span<const Slice> slices,
                                     ReduceOp op,
                                     std::byte* out,
                                     std::string_view call);
    // For small counts: everyone gets everything and combines it alone, in one round of messages.
    Result<void> allreduce_gathered(ConstBuffer send, Buffer recv, ReduceOp op);
    // The other way round: every rank has slices[rank()] of `data` and gets the rest.
    Result<void> spread_slices(Buffer data, std::span<const Slice> slices, std::string_view call);
    // [begin, begin + count) in size() parts that differ by one element at most.
    [[nodiscard]] std::vector<Slice> equal_slices(std::size_t begin, std::size_t count) const;
    // The peers in an order of their own for each rank, so that not all send to rank 0 first.
    [[nodiscard]] int peer(int distance) const { return (rank_ + distance) % size_; }

    Transport& transport_;
    int rank_;
    int size_;
    std::size_t segment_bytes_;
};

}  // namespace mpitrain::collectives
