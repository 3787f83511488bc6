#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/lease.hpp"
#include "mpitrain/seam/file_system.hpp"

namespace mpitrain::checkpoint {

// Removes a commit: out of sight by one rename, then file by file, so that a half-removed one is
// never taken for a damaged one. `token` is unique.
Result<void> remove_commit(FileSystem& files, const std::string& path, std::string_view token);

// Which commits stay after a newer one has come.
struct Retention {
    std::uint32_t last = 3;   // so many of the newest; 0: all
    std::uint64_t every = 0;  // and those whose step is a multiple of this; 0: none
    // And, oldest first, each that is at least so much younger than the one kept before it; 0:
    // none.
    std::chrono::seconds interval{0};
    bool operator==(const Retention&) const = default;
};

// Removes the commits of steps up to `newest` but for those to be kept, and never the newest.
// Returns the removed paths. The caller knows that the newest is good. The age of a commit is that
// of its manifest's file.
Result<std::vector<std::string>> apply_retention(FileSystem& files,
                                                 const std::string& directory,
                                                 const Retention& keep,
                                                 std::uint64_t newest,
                                                 std::string_view token);

// What a person who wants room may remove: all commits but the newest `keep_good` good ones and
// what is newer than these, and what dead writers have left. With no good one no commit.
struct Prunable {
    std::vector<std::string> commits;  // newest first
    std::vector<std::string> leftovers;
};
Result<Prunable> list_prunable(FileSystem& files,
                               const std::string& directory,
                               std::uint64_t keep_good);
// Removes them, as the only writer. `lease` is of that directory and is given back; `token` is
// unique. Errors: permission_denied (a job writes there), io.
Result<void> prune(FileSystem& files,
                   const std::string& directory,
                   const Prunable& what,
                   Lease& lease,
                   std::string_view token);

// What writers that died have left: directories that are no commits. The caller holds the lease, so
// no living writer works on one.
Result<std::vector<std::string>> list_leftovers(FileSystem& files, const std::string& directory);
// `spared` is a directory that stays.
Result<void> remove_leftovers(FileSystem& files,
                              const std::string& directory,
                              std::string_view spared = {});

}  // namespace mpitrain::checkpoint
