#pragma once

#include <span>
#include <string>

#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/staging.hpp"
#include "mpitrain/seam/file_system.hpp"
#include "shard_writer.hpp"

namespace mpitrain::checkpoint {

// Copies a shard, durably, into another directory; a file of that name there, of an attempt that
// died, is replaced. Every byte is checked on the way, so that what arrives is right. Uses the
// first staging buffer. Errors: data_loss (what is read is not what was written), io,
// resource_exhausted.
Result<void> copy_shard(FileSystem& files,
                        const std::string& from,
                        const std::string& to,
                        const ShardFile& shard,
                        std::uint32_t block_bytes,
                        const Staging& staging,
                        const Pace& pace);

}  // namespace mpitrain::checkpoint
