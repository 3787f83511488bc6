#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/checkpoint/peers.hpp"
#include "mpitrain/seam/file_system.hpp"

namespace mpitrain::checkpoint {

// Which ranks share a node, and who holds whose second copy. A value, equal on all ranks.
class NodeMap {
  public:
    // `seen[r]`: the ranks that rank r sees in its local directory, itself among them.
    explicit NodeMap(const std::vector<std::vector<int>>& seen);

    [[nodiscard]] std::size_t node_count() const { return nodes_.size(); }
    [[nodiscard]] std::size_t node_of(int rank) const {
        return node_of_[static_cast<std::size_t>(rank)];
    }
    [[nodiscard]] const std::vector<int>& ranks_of(std::size_t node) const { return nodes_[node]; }
    // The rank that does on a node what need be done once.
    [[nodiscard]] bool is_first_of_node(int rank) const {
        return nodes_[node_of(rank)].front() == rank;
    }
    // The rank on the next node that keeps a copy of this rank's shard; nullopt on a single node.
    [[nodiscard]] std::optional<int> partner_of(int rank) const;
    // Whose shards this rank keeps copies of, by rank.
    [[nodiscard]] std::vector<int> wards_of(int rank) const;

  private:
    std::vector<std::vector<int>> nodes_;  // by the lowest rank
    std::vector<std::size_t> node_of_;
};

// What the names of marks begin with; one of a dead process may be left.
inline constexpr std::string_view node_mark_prefix = ".rank-";

// Ranks share a node if they see each other's marks in their local directory, whatever the machines
// are called. Collective. `mark` is the same on all ranks, and new.
Result<NodeMap> find_nodes(FileSystem& files,
                           Peers& peers,
                           const std::string& local_directory,
                           const std::string& mark,
                           std::chrono::milliseconds deadline);

}  // namespace mpitrain::checkpoint
