#pragma once

#include <memory>

#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/seam/file_system.hpp"

namespace mpitrain::checkpoint::tool {

// The same files, telling `progress` how much of `total` has been written to them: what shows a
// save that lasts, which tells nobody itself. Both must outlive it.
std::unique_ptr<FileSystem> count_written(FileSystem& files,
                                          const Progress& progress,
                                          std::uint64_t total);

}  // namespace mpitrain::checkpoint::tool
