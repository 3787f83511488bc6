#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/shard_reader.hpp"
#include "mpitrain/checkpoint/surroundings.hpp"

namespace mpitrain::checkpoint {

struct Loaded {
    std::string path;
    Manifest manifest;
    std::vector<std::vector<std::byte>> blobs;  // beside manifest.blobs
    std::vector<std::string> warnings;
    std::uint64_t bytes_read = 0;  // by this rank
};

// Both are collective and leave the targets unspecified on error. `targets` are beside `wanted`.
//
// Loads from the newest commit that is whole; nullopt when there is no commit at all. Errors:
// data_loss (there are commits, all damaged), not_found and invalid_argument (a tensor), …
Result<std::optional<Loaded>> load_newest(Surroundings& surroundings,
                                          const StoreOptions& options,
                                          std::span<const TensorSpec> wanted,
                                          const Targets& targets);
// Loads from the commit at `path`.
Result<Loaded> load_commit(Surroundings& surroundings,
                           const StoreOptions& options,
                           const std::string& path,
                           std::span<const TensorSpec> wanted,
                           const Targets& targets);

}  // namespace mpitrain::checkpoint
