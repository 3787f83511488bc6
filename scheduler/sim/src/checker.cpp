#include "checker.hpp"

#include <fmt/format.h>

#include <bit>
#include <set>

namespace mpitrain::sim {

using scheduler::NodeSlots;
using scheduler::NodeSpec;

Checker::Checker(const scheduler::ClusterSpec& cluster)
    : cluster_(cluster), used_(cluster.nodes.size(), 0), up_(cluster.nodes.size(), 1) {}

void Checker::fail(std::string what) {
    if (violations_++ == 0) {
        first_ = std::move(what);
    }
}

void Checker::submitted(const scheduler::GangRequest& request) {
    jobs_[request.job].request = request;
}

void Checker::started(const scheduler::Start& start) {
    Live& live = jobs_[start.job];
    if (live.runs || start.attempt != live.attempt + 1) {
        fail(fmt::format("job {} starts as attempt {} after {}{}",
                         start.job.value(),
                         start.attempt,
                         live.attempt,
                         live.runs ? ", which is live" : ""));
    }
    check_shape(start, live);
    for (const NodeSlots& piece : start.where) {
        const auto node = static_cast<std::size_t>(piece.node.value());
        if ((used_[node] & piece.slots) != 0) {
            fail(fmt::format("job {} gets a slot of node {} that another has",
                             start.job.value(),
                             cluster_.nodes[node].name));
        }
        if (up_[node] == 0) {
            fail(fmt::format("job {} starts on node {}, which is down",
                             start.job.value(),
                             cluster_.nodes[node].name));
        }
        used_[node] |= piece.slots;
    }
    live.runs = true;
    live.attempt = start.attempt;
    live.held = start.where;
}

// A gang of one node has exactly its slots; a larger one whole nodes, as few as hold it.
void Checker::check_shape(const scheduler::Start& start, const Live& live) {
    const scheduler::GangShape& shape = live.request.shape;
    std::set<int> nodes;
    int slots = 0;
    bool alike = true;
    for (const NodeSlots& piece : start.where) {
        const NodeSpec& node = cluster_.nodes[static_cast<std::size_t>(piece.node.value())];
        const NodeSpec& first =
            cluster_.nodes[static_cast<std::size_t>(start.where.front().node.value())];
        nodes.insert(piece.node.value());
        slots += std::popcount(piece.slots);
        alike = alike && node.slots == first.slots && node.gpu_type == first.gpu_type &&
                node.type == shape.type;
        const bool whole = std::popcount(piece.slots) == node.slots;
        alike = alike && (whole || start.where.size() == 1);
    }
    const bool enough = slots >= (shape.min_slots > 0 ? shape.min_slots : shape.slots);
    const bool exact = shape.min_slots > 0 || start.where.size() > 1 || shape.exclusive ||
                       slots == shape.slots || shape.slice_nodes > 0;
    if (start.where.empty() || nodes.size() != start.where.size() || !enough || !exact || !alike) {
        fail(fmt::format("job {} wants {} slots and starts with {} on {} nodes",
                         start.job.value(),
                         shape.slots,
                         slots,
                         start.where.size()));
    }
}

void Checker::stopped(const scheduler::Stop& stop) {
    const Live& live = jobs_[stop.job];
    if (!live.runs || live.attempt != stop.attempt) {
        fail(fmt::format(
            "attempt {}#{} is told to stop and is not live", stop.job.value(), stop.attempt));
    }
}

void Checker::ended(JobId job, int attempt) {
    Live& live = jobs_[job];
    if (!live.runs || live.attempt != attempt) {
        fail(fmt::format("attempt {}#{} ends and is not live", job.value(), attempt));
    }
    for (const NodeSlots& piece : live.held) {
        used_[static_cast<std::size_t>(piece.node.value())] &= ~piece.slots;
    }
    live.runs = false;
    live.held.clear();
}

void Checker::node(NodeId node, bool up) {
    up_[static_cast<std::size_t>(node.value())] = up ? 1 : 0;
}

}  // namespace mpitrain::sim
