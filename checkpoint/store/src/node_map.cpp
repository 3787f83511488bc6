#include "node_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agreement.hpp"

namespace mpitrain::checkpoint {

NodeMap::NodeMap(const std::vector<std::vector<int>>& seen) : node_of_(seen.size()) {
    for (std::size_t rank = 0; rank < seen.size(); ++rank) {
        // A rank that is not seen by those it sees, for its directory is odd, is a node of its own.
        const int first = *std::min_element(seen[rank].begin(), seen[rank].end());
        const auto at = static_cast<std::size_t>(first);
        const bool is_new = at >= rank || seen[at] != seen[rank];
        if (is_new) {
            node_of_[rank] = nodes_.size();
            nodes_.emplace_back();
        } else {
            node_of_[rank] = node_of_[at];
        }
        nodes_[node_of_[rank]].push_back(static_cast<int>(rank));
    }
}

std::optional<int> NodeMap::partner_of(int rank) const {
    if (nodes_.size() < 2) {
        return std::nullopt;
    }
    const std::vector<int>& own = nodes_[node_of(rank)];
    const std::vector<int>& next = nodes_[(node_of(rank) + 1) % nodes_.size()];
    const auto place =
        static_cast<std::size_t>(std::find(own.begin(), own.end(), rank) - own.begin());
    return next[place % next.size()];
}

std::vector<int> NodeMap::wards_of(int rank) const {
    std::vector<int> wards;
    for (int other = 0; other < static_cast<int>(node_of_.size()); ++other) {
        if (partner_of(other) == rank) {
            wards.push_back(other);
        }
    }
    return wards;
}

namespace {

std::string mark_of(const std::string& mark, int rank) {
    return fmt::format("{}{}-{}", node_mark_prefix, mark, rank);
}

Result<std::string> marks_seen(FileSystem& files,
                               const std::string& directory,
                               const std::string& mark,
                               int ranks) {
    MPITRAIN_TRY(const auto entries, files.list(directory));
    std::vector<int> seen;
    for (int rank = 0; rank < ranks; ++rank) {
        const std::string wanted = mark_of(mark, rank);
        if (std::any_of(entries.begin(), entries.end(), [&](const DirectoryEntry& entry) {
                return entry.name == wanted;
            })) {
            seen.push_back(rank);
        }
    }
    if (seen.empty()) {
        return Error(ErrorCode::io, "a file made here is not seen here").at(directory);
    }
    return nlohmann::json(seen).dump();
}

}  // namespace

Result<NodeMap> find_nodes(FileSystem& files,
                           Peers& peers,
                           const std::string& local_directory,
                           const std::string& mark,
                           std::chrono::milliseconds deadline) {
    const std::string own = join_path(local_directory, mark_of(mark, peers.rank()));
    const auto made = [&]() -> Result<std::string> {
        MPITRAIN_TRY(const auto file, files.open(own, {.mode = OpenMode::create}));
        return std::string();
    }();
    MPITRAIN_TRY(const Agreement all_made, agree(peers, made, deadline, "finding the nodes"));
    const auto seen = all_made.failed() ? Result<std::string>(all_made.failure())
                                        : marks_seen(files, local_directory, mark, peers.size());
    // Told whatever has happened, so that no mark goes before all have been looked for.
    const auto told = agree(peers, seen, deadline, "finding the nodes");
    static_cast<void>(files.remove_file(own));
    MPITRAIN_TRY(const Agreement all_seen, told);
    if (all_seen.failed()) {
        return all_seen.failure();
    }
    std::vector<std::vector<int>> by_rank;
    for (const std::string& word : all_seen.words) {
        by_rank.push_back(nlohmann::json::parse(word).get<std::vector<int>>());
    }
    return NodeMap(by_rank);
}

}  // namespace mpitrain::checkpoint
