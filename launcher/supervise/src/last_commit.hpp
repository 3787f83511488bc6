#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/seam/file_system.hpp"

namespace mpitrain {

struct CommitFound {
    std::uint64_t step = 0;
    std::string path;
};

struct LastCommit {
    std::optional<CommitFound> good;   // what to resume from
    std::vector<std::string> damaged;  // newer ones that are not whole: why, for people
};

// The newest whole step-<n> in a checkpoint directory. One in our format
// (docs/formats/checkpoint.md) is whole when its manifest is right and every file has its length;
// of another program's, all that can be known is that there is a manifest.json and that it is JSON.
// Whatever cannot be read is left out, for a program may also start anew. Cost: reads one manifest,
// more only past damaged ones.
LastCommit find_last_commit(FileSystem& files, const std::string& checkpoint_dir);

}  // namespace mpitrain
