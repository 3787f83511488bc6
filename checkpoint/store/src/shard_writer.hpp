#pragma once

#include <span>
#include <string>

#include "mpitrain/checkpoint/container.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/save_plan.hpp"
#include "mpitrain/checkpoint/staging.hpp"
#include "mpitrain/seam/file_system.hpp"

namespace mpitrain::checkpoint {

// Where the bytes of a rank's Contribution are, in its order.
struct Sources {
    std::span<const std::byte* const> tensors;
    std::span<const std::byte* const> blobs;
};

// Writes a new shard file and syncs it; its name in the directory is not synced. The bytes pass
// once: copied into a staging buffer and summed while the buffer before is on its way to the disk.
Result<ShardFile> write_shard(FileSystem& files,
                              const std::string& path,
                              const ShardPlan& plan,
                              const ShardImage& image,
                              const Sources& sources,
                              std::uint32_t block_bytes,
                              const Staging& staging);

}  // namespace mpitrain::checkpoint
