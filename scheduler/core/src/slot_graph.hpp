#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/model/topology.hpp"

namespace mpitrain::scheduler {

// The free slots of one node as a complete weighted graph; vertex i is the i-th lowest free slot.
class SlotGraph {
  public:
    // A link's worth is `link`; `same_numa` decides only between equal sums of links. The factor
    // keeps the two apart: fewer than link_unit pairs exist among any set we look at.
    static constexpr std::int64_t link_unit = 1 << 20;

    // Every id must name a slot of the node; ids are sorted here.
    SlotGraph(const NodeTopology& node, std::vector<SlotId> free);

    [[nodiscard]] int size() const { return static_cast<int>(ids_.size()); }
    [[nodiscard]] SlotId id(int vertex) const { return ids_[static_cast<std::size_t>(vertex)]; }
    // link_unit * link + (1 when both are on the same NUMA node).
    [[nodiscard]] std::int64_t weight(int a, int b) const {
        return weights_[static_cast<std::size_t>(a) * ids_.size() + static_cast<std::size_t>(b)];
    }
    [[nodiscard]] static std::int64_t link_of(std::int64_t weight) { return weight / link_unit; }

    [[nodiscard]] std::int64_t weight_within(const std::vector<int>& vertices) const;
    [[nodiscard]] std::int64_t weakest_link(const std::vector<int>& vertices) const;
    [[nodiscard]] int numa_count(const std::vector<int>& vertices) const;
    [[nodiscard]] int nic_count(const std::vector<int>& vertices) const;
    [[nodiscard]] std::vector<SlotId> ids(const std::vector<int>& vertices) const;

  private:
    std::vector<SlotId> ids_;
    std::vector<std::int64_t> weights_;
    std::vector<int> numa_;  // nearest NUMA node, -1 = anywhere
    std::vector<std::vector<std::string>> nics_;
};

}  // namespace mpitrain::scheduler
