#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/types.hpp"
#include "pieces.hpp"

namespace mpitrain::collectives {

// One message to or from another rank.
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

// What TreeCollectives needs of a library below. On devices everything is enqueued in order, on
// hosts it is done on return.
class Transport {
  public:
    virtual ~Transport() = default;
    // All messages at once.
    virtual Result<void> transfer(std::span<const Outgoing> outgoing,
                                  std::span<const Incoming> incoming,
                                  std::string_view call) = 0;
    // Combines the pieces in rank_tree order into `out`, which may be the own piece.
    virtual Result<void> combine(
        const Pieces& pieces, std::size_t count, DataType type, ReduceOp op, void* out) = 0;
    virtual Result<void> copy(void* to, const void* from, std::size_t bytes) = 0;
    // At least that much memory, the same each time; what it held is lost.
    virtual Result<std::byte*> scratch(std::size_t bytes) = 0;
};

}  // namespace mpitrain::collectives
