#pragma once

#include <string>

#include "posix.hpp"

namespace mpitrain::rank {

// Removes the directory `path` and all below it, and returns whether nothing is left. Careful,
// since it may run as root on a shared machine: only absolute paths with at least two names, only
// what belongs to this user, never through a symbolic link, never into another file system, never
// on after `deadline`.
bool remove_tree(const std::string& path, TimePoint deadline);

}  // namespace mpitrain::rank
