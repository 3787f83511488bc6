#pragma once

#include <memory>

#include "mpitrain/checkpoint/container.hpp"

namespace mpitrain::checkpoint {

// Files of HDF5 1.10 and later. The library is laid over a file in memory, so no call of it ever
// touches a disk. Thread-safe: its calls are serialised, because Debian's library is not; a program
// that uses HDF5 itself keeps its own calls apart from saves.
std::unique_ptr<Container> make_hdf5_container();

}  // namespace mpitrain::checkpoint
