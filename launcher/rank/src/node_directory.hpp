#pragma once

#include <string>

#include "mpitrain/base/result.hpp"
#include "posix.hpp"

namespace mpitrain::rank {

// A directory that all processes of an attempt on one machine use, and that the last of them to
// leave removes. Each holds a shared lock on it, which the kernel drops for those that are killed.
// A fork is in it too, as long as either process has it open.
class NodeDirectory {
  public:
    // Makes it, for this user alone, if it is not there. Errors: permission_denied (it is somebody
    // else's, or no directory), io; within 3 s.
    static Result<NodeDirectory> enter(const std::string& path);
    // Removes it if nobody else is in it. Careful as remove_tree is.
    void leave(TimePoint deadline);
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    NodeDirectory(std::string path, UniqueFd directory)
        : path_(std::move(path)), directory_(std::move(directory)) {}
    std::string path_;
    UniqueFd directory_;
};

}  // namespace mpitrain::rank
