#pragma once

#include <cstddef>
#include <vector>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/strong_id.hpp"

namespace mpitrain::scheduler {

// Slots of a node that are somebody's for a time: [begin, end).
struct Booked {
    Nanoseconds begin{};
    Nanoseconds end{};
    int slots = 0;
    int owner = 0;
};

// First and last moment at which something may start.
struct StartSpan {
    Nanoseconds first{};
    Nanoseconds last{};
};

// When slots of each node come free, by what is expected of those that run, and what of that is
// booked for later. Knows numbers of slots, not which.
class Timeline {
  public:
    explicit Timeline(std::size_t nodes = 0) : nodes_(nodes) {}

    // A node's free slots now, and when which more come free; ascending by time.
    struct Release {
        Nanoseconds at{};
        int slots = 0;
    };
    void set(NodeId node, int free, std::vector<Release> releases);
    void book(NodeId node, const Booked& booked);
    void withdraw(NodeId node, int owner);
    [[nodiscard]] bool has_bookings(NodeId node) const { return !at(node).booked.empty(); }

    // Appends when `slots` may start on the node, to be theirs for `length`, no earlier than `now`.
    // What should have come free by now and has not is expected at any moment, but not now.
    void starts(NodeId node,
                int slots,
                Nanoseconds length,
                Nanoseconds now,
                std::vector<StartSpan>& found) const;
    [[nodiscard]] bool may_start(
        NodeId node, int slots, Nanoseconds length, Nanoseconds start, Nanoseconds now) const;

  private:
    struct Node {
        int free = 0;
        std::vector<Release> releases;
        std::vector<Booked> booked;
    };
    [[nodiscard]] const Node& at(NodeId node) const {
        return nodes_[static_cast<std::size_t>(node.value())];
    }
    [[nodiscard]] Node& at(NodeId node) { return nodes_[static_cast<std::size_t>(node.value())]; }

    std::vector<Node> nodes_;
};

}  // namespace mpitrain::scheduler
