#pragma once

#include "hdf5_call.hpp"
#include "memory_file.hpp"

namespace mpitrain::checkpoint::hdf5 {

// Makes files created with these access properties live in `memory`. It is a driver of the
// library's own kind: none of those it brings keeps a file sparse without a name on some disk.
Result<void> use_memory(const Handle& access, MemoryFile& memory);

}  // namespace mpitrain::checkpoint::hdf5
