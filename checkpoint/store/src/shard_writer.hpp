#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mpitrain/checkpoint/container.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/staging.hpp"
#include "mpitrain/seam/file_system.hpp"
#include "share.hpp"

namespace mpitrain::checkpoint {

// A share on its way to the disk: not synced yet.
struct WrittenShare {
    std::unique_ptr<File> file;
    std::vector<std::uint32_t> sums;  // of its blocks, in order
};

// Opens the file that is written. Called once, beside the first bytes' being put together.
using OpenFile = std::function<Result<std::unique_ptr<File>>()>;

// Writes a share out of a rank's buffers. The bytes pass once: copied into a staging buffer and
// summed while the buffer before is on its way to the disk.
Result<WrittenShare> write_share(const OpenFile& open,
                                 const Share& share,
                                 const ShardImage& image,
                                 const Sources& sources,
                                 const Staging& staging);

// How fast to write: at most `bytes_per_second`, 0 for as fast as the disk does, and without a
// limit from when `hurry` becomes true.
struct Pace {
    std::uint64_t bytes_per_second = 0;
    const std::atomic<bool>& hurry;
};

// The same from a share that is whole in memory, `bytes`: summed and written where it lies, by the
// caller's thread alone.
Result<WrittenShare> write_snapshot(const OpenFile& open,
                                    const Share& share,
                                    const ShardImage& image,
                                    std::span<const std::byte> bytes,
                                    const Pace& pace);

// A new file with its space reserved.
OpenFile new_file(FileSystem& files, const std::string& path, std::uint64_t size_bytes);

// A file that several ranks write: made by whoever comes first, its space reserved by each.
OpenFile shared_file(FileSystem& files, const std::string& path, std::uint64_t size_bytes);

// Writes the checksum table of a file whose blocks have these sums, gives the file its length, and
// syncs it; its name in the directory is not synced.
Result<ShardFile> finish(File& file,
                         const std::string& path,
                         const ShardImage& image,
                         std::span<const std::uint32_t> sums);

}  // namespace mpitrain::checkpoint
