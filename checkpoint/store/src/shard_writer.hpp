#pragma once

#include <atomic>
#include <span>
#include <string>
#include <vector>

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

// Bytes in memory that have a place in the file.
struct Segment {
    std::uint64_t offset = 0;
    std::span<const std::byte> bytes;
    [[nodiscard]] std::uint64_t end() const { return offset + bytes.size(); }
};

// All of the file but the table, by offset. What no segment covers is zero.
std::vector<Segment> segments_of(const ShardPlan& plan,
                                 const ShardImage& image,
                                 const Sources& sources);

// Writes a new shard file and syncs it; its name in the directory is not synced. The bytes pass
// once: copied into a staging buffer and summed while the buffer before is on its way to the disk.
Result<ShardFile> write_shard(FileSystem& files,
                              const std::string& path,
                              const ShardPlan& plan,
                              const ShardImage& image,
                              const Sources& sources,
                              std::uint32_t block_bytes,
                              const Staging& staging);

// How fast to write: at most `bytes_per_second`, 0 for as fast as the disk does, and without a
// limit from when `hurry` becomes true.
struct Pace {
    std::uint64_t bytes_per_second = 0;
    const std::atomic<bool>& hurry;
};

// The same from a file that is whole in memory but for its checksum table, `whole` being padded to
// whole pages: the bytes are summed and written where they lie, by the caller's thread alone.
Result<ShardFile> write_shard_image(FileSystem& files,
                                    const std::string& path,
                                    const ShardImage& image,
                                    std::span<const std::byte> whole,
                                    const Pace& pace);

}  // namespace mpitrain::checkpoint
