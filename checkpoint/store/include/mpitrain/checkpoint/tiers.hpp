#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "mpitrain/checkpoint/loader.hpp"
#include "mpitrain/checkpoint/saver.hpp"
#include "mpitrain/checkpoint/surroundings.hpp"

// Two levels below a checkpoint directory: a commit comes to be in a directory of each node, such
// as one in memory or on a disk of its own, with a second copy of every shard on another node; from
// there it is drained to the directory that all nodes share. docs/decisions/0011 has the reasons.
namespace mpitrain::checkpoint {

struct TierOptions {
    std::string local_directory{};  // the same words on every node, another place on each
    bool partner_copies = true;     // a second copy of each shard on the next node
    std::uint64_t drain_bytes_per_second = 0;  // of each rank; 0: as fast as the disk
};

// A saver whose save() and start() return when every node has made its part durable, and that part
// has a copy on another node. From then on a lost process loses nothing, nor does a lost node where
// there is more than one. The drain goes on behind the training: poll() tells when the shared
// directory has the commit. One drain at a time; while it lasts, of the commits that wait for it
// only the newest is kept, and its warnings name those it has overtaken. settle() waits for all.
class TieredStore : public Saver {
  public:
    // As checkpoint::load_newest(), of what both levels hold: first what the nodes have and the
    // shared directory lacks is drained to it. Read from the nodes where each has all it needs.
    virtual Result<std::optional<Loaded>> load_newest(std::span<const TensorSpec> wanted,
                                                      std::span<std::byte* const> targets) = 0;
};

std::unique_ptr<TieredStore> make_tiered_store(Surroundings surroundings,
                                               StoreOptions options,
                                               TierOptions tiers);

}  // namespace mpitrain::checkpoint
