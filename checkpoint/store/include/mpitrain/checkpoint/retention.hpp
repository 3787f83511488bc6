#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/seam/file_system.hpp"

namespace mpitrain::checkpoint {

// Removes a commit: out of sight by one rename, then file by file, so that a half-removed one is
// never taken for a damaged one. `token` is unique.
Result<void> remove_commit(FileSystem& files, const std::string& path, std::string_view token);

// Removes the commits of steps up to `newest` but for the last `keep_last` (at least one). Returns
// the removed paths. The caller knows that the newest is good.
Result<std::vector<std::string>> keep_newest(FileSystem& files,
                                             const std::string& directory,
                                             std::uint32_t keep_last,
                                             std::uint64_t newest,
                                             std::string_view token);

// What writers that died have left: directories that are no commits. The caller holds the lease, so
// no living writer works on one.
Result<std::vector<std::string>> list_leftovers(FileSystem& files, const std::string& directory);
Result<void> remove_leftovers(FileSystem& files, const std::string& directory);

}  // namespace mpitrain::checkpoint
