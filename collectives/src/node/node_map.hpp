#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "node/node_group.hpp"

namespace mpitrain::collectives {

// Where a rank runs; the same bytes for every rank, sent between them.
struct Seat {
    std::uint64_t node = 0;                // equal for ranks that can share memory
    std::array<std::uint64_t, 16> cpus{};  // it may run on; a bit each, the first 1024
    std::uint64_t draw = 0;                // a random number; that of rank 0 names the group
};

// Where this process runs. Ranks of one machine but of two pid namespaces count as two nodes, since
// neither could open the other's memory.
Seat find_seat();

// Which ranks share a node, as every rank works it out for itself from all seats.
struct NodeMap {
    NodeShape shape;  // of this rank's node
    int nodes = 1;
    // Whether node n holds ranks n * k … n * k + k - 1 for one k: then local rank j of every node
    // can work with local rank j of the others.
    bool regular = false;
};
// `in_background`: the calls are made by a thread beside one that computes.
NodeMap map_nodes(std::span<const Seat> seats, int rank, bool in_background = false);

}  // namespace mpitrain::collectives
