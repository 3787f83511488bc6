#pragma once

#include <cstddef>

#include "node/node_collectives.hpp"
#include "transport.hpp"
#include "tree_collectives.hpp"

namespace mpitrain::collectives {

// An allreduce over several nodes that hold equally many consecutive ranks each: every node reduces
// through its shared memory, local rank j of all nodes reduce part j among themselves by messages,
// and every node shares the parts. Each element crosses between nodes once each way for all ranks
// of a node together.
//
// With a power of two of ranks per node, a node's ranks are a subtree of the rank tree, so these
// are the bits of all other ways. Only for types that are combined as they are stored; avg is a sum
// divided at the end.
class TwoLevels {
  public:
    struct Shape {
        int rank;
        int per_node;
        int nodes;
        std::size_t segment_bytes;
    };
    // `inside` and `messages`, whose ranks are those of all nodes, must outlive this.
    TwoLevels(NodeCollectives& inside, Transport& messages, const Shape& shape);

    // Whether the result has the bits of the rank tree.
    [[nodiscard]] bool keeps_rank_tree() const;
    // Whether it can do this at all.
    static bool can_do(DataType type, ReduceOp op);
    Result<void> allreduce(ConstBuffer send, Buffer recv, ReduceOp op);

  private:
    // Messages among the ranks with the same local rank, numbered by node.
    class Rail final : public Transport {
      public:
        Rail(Transport& all, const Shape& shape) : all_(all), shape_(shape) {}
        Result<void> transfer(std::span<const Outgoing> outgoing,
                              std::span<const Incoming> incoming,
                              std::string_view call) override;
        Result<void> combine(const Pieces& pieces,
                             std::size_t count,
                             DataType type,
                             ReduceOp op,
                             void* out) override {
            return all_.combine(pieces, count, type, op, out);
        }
        Result<void> copy(void* to, const void* from, std::size_t bytes) override {
            return all_.copy(to, from, bytes);
        }
        Result<std::byte*> scratch(std::size_t bytes) override { return all_.scratch(bytes); }

      private:
        [[nodiscard]] int rank_on(int node) const {
            return node * shape_.per_node + shape_.rank % shape_.per_node;
        }
        Transport& all_;
        Shape shape_;
    };

    NodeCollectives& inside_;
    Shape shape_;
    Rail rail_;
    TreeCollectives across_;
};

}  // namespace mpitrain::collectives
