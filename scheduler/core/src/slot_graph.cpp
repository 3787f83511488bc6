#include "slot_graph.hpp"

#include <algorithm>
#include <limits>
#include <set>

namespace mpitrain::scheduler {
namespace {

constexpr int nvlink_base = 60;
constexpr int mb_s_per_point = 250;

int points_of(LinkClass link_class) {
    switch (link_class) {
        case LinkClass::nvl:
            return nvlink_base;
        case LinkClass::pix:
            return 50;
        case LinkClass::pxb:
            return 40;
        case LinkClass::phb:
            return 30;
        case LinkClass::node:
            return 20;
        case LinkClass::sys:
            return 10;
    }
    return 0;
}

// The cell of a matrix that may be smaller than the node's slots (CPU slots have none).
template <typename Cell>
std::optional<Cell> cell_of(const std::vector<std::vector<std::optional<Cell>>>& matrix,
                            SlotId row,
                            SlotId column) {
    const auto r = static_cast<std::size_t>(row.value());
    const auto c = static_cast<std::size_t>(column.value());
    return r < matrix.size() && c < matrix[r].size() ? matrix[r][c] : std::nullopt;
}

std::int64_t link_between(const Links& links, SlotId a, SlotId b) {
    const std::optional<int> bandwidth = cell_of(links.bandwidth_mb_s, a, b);
    if (bandwidth && *bandwidth > 0) {
        return nvlink_base + *bandwidth / mb_s_per_point;
    }
    const std::optional<LinkClass> link_class = cell_of(links.link_class, a, b);
    return link_class ? points_of(*link_class) : 0;
}

}  // namespace

SlotGraph::SlotGraph(const NodeTopology& node, std::vector<SlotId> free) : ids_(std::move(free)) {
    std::sort(ids_.begin(), ids_.end());
    for (const SlotId id : ids_) {
        const Slot& slot = node.slots[static_cast<std::size_t>(id.value())];
        numa_.push_back(slot.numa.empty() ? -1 : slot.numa.front());
        nics_.push_back(slot.nics);
    }
    weights_.resize(ids_.size() * ids_.size());
    for (std::size_t a = 0; a < ids_.size(); ++a) {
        for (std::size_t b = 0; b < ids_.size(); ++b) {
            const bool same_numa = numa_[a] >= 0 && numa_[a] == numa_[b];
            weights_[a * ids_.size() + b] =
                link_unit * link_between(node.links, ids_[a], ids_[b]) + (same_numa ? 1 : 0);
        }
    }
}

std::int64_t SlotGraph::weight_within(const std::vector<int>& vertices) const {
    std::int64_t sum = 0;
    for (std::size_t a = 0; a < vertices.size(); ++a) {
        for (std::size_t b = a + 1; b < vertices.size(); ++b) {
            sum += weight(vertices[a], vertices[b]);
        }
    }
    return sum;
}

std::int64_t SlotGraph::weakest_link(const std::vector<int>& vertices) const {
    std::int64_t weakest = std::numeric_limits<std::int64_t>::max();
    for (std::size_t a = 0; a < vertices.size(); ++a) {
        for (std::size_t b = a + 1; b < vertices.size(); ++b) {
            weakest = std::min(weakest, link_of(weight(vertices[a], vertices[b])));
        }
    }
    return weakest;
}

int SlotGraph::numa_count(const std::vector<int>& vertices) const {
    std::set<int> distinct;
    for (const int vertex : vertices) {
        distinct.insert(numa_[static_cast<std::size_t>(vertex)]);
    }
    return static_cast<int>(distinct.size());
}

int SlotGraph::nic_count(const std::vector<int>& vertices) const {
    std::set<std::string> distinct;
    for (const int vertex : vertices) {
        const auto& names = nics_[static_cast<std::size_t>(vertex)];
        distinct.insert(names.begin(), names.end());
    }
    return static_cast<int>(distinct.size());
}

std::vector<SlotId> SlotGraph::ids(const std::vector<int>& vertices) const {
    std::vector<SlotId> ids;
    for (const int vertex : vertices) {
        ids.push_back(id(vertex));
    }
    std::sort(ids.begin(), ids.end());
    return ids;
}

}  // namespace mpitrain::scheduler
