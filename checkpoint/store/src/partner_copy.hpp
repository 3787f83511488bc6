#pragma once

#include <chrono>
#include <string>

#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/peers.hpp"
#include "mpitrain/checkpoint/staging.hpp"
#include "mpitrain/seam/file_system.hpp"
#include "node_map.hpp"

namespace mpitrain::checkpoint {

// Sends this rank's shard, which lies in `place`, to its partner, and writes its wards' there,
// durably. Collective: every rank moves every byte it has to, also after an error of its own, which
// it reports at the end. What arrives is checked when it is read. Uses all staging buffers.
Result<void> exchange_copies(FileSystem& files,
                             Peers& peers,
                             const NodeMap& nodes,
                             const std::string& place,
                             const Manifest& manifest,
                             const Staging& staging,
                             std::chrono::milliseconds deadline);

}  // namespace mpitrain::checkpoint
