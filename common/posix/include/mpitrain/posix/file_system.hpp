#pragma once

#include <memory>

#include "mpitrain/seam/file_system.hpp"

namespace mpitrain::posix {

// The machine's own file systems. Every call blocks for as long as the disk does.
std::unique_ptr<FileSystem> make_file_system();

}  // namespace mpitrain::posix
