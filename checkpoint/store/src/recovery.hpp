#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "local_commit.hpp"
#include "mpitrain/checkpoint/peers.hpp"
#include "mpitrain/checkpoint/staging.hpp"
#include "node_map.hpp"
#include "save_steps.hpp"

namespace mpitrain::checkpoint {

// The newest commit of the shared directory that is whole by its files' lengths.
struct SharedCommit {
    std::uint64_t step = 0;
    std::string token;
    std::string seal;  // of its manifest
};
// Collective: rank 0 looks, all are told; nullopt: none.
Result<std::optional<SharedCommit>> newest_shared(SaveSteps& shared);

// A commit of which the nodes together hold every shard.
struct Recoverable {
    std::uint64_t step = 0;
    std::string token;
    std::string seal;
    std::size_t shard_count = 0;
    // By shard, the ranks that could copy it: one of each node that holds it.
    std::vector<std::vector<int>> holders;
    std::vector<int> contents_holders;      // the first ranks of the nodes that hold any of it
    std::vector<std::string> name_by_node;  // of its directory; "" where a node has none
};

// What is to be recovered, newest first, out of what each rank has told of its node: newer than the
// newest shared commit, whole, and made after it in the same lineage. Pure.
std::vector<Recoverable> choose_recoverable(const NodeMap& nodes,
                                            const std::vector<std::vector<LocalCommit>>& by_rank,
                                            const std::optional<SharedCommit>& newest);

struct Recovered {
    std::vector<std::string> warnings;
};

// Drains what the nodes hold and the shared directory lacks: the newest that comes through, each
// byte checked, from a second copy where the first is gone or wrong. Collective, and waits for the
// disks; takes the lease if there is anything to do. `root` is this rank's local directory. Errors:
// permission_denied (another writer is at work), of the ranks.
Result<Recovered> recover(SaveSteps& shared,
                          const NodeMap& nodes,
                          const std::string& root,
                          const Staging& staging,
                          std::chrono::milliseconds deadline);

// Removes all commits and leftovers in this node's directory but the one of that name.
Result<void> clear_local(FileSystem& files, const std::string& root, const std::string& spared);

}  // namespace mpitrain::checkpoint
