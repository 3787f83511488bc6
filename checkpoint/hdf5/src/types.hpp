#pragma once

#include <cstddef>
#include <vector>

#include "hdf5_call.hpp"
#include "mpitrain/checkpoint/tensor.hpp"

namespace mpitrain::checkpoint::hdf5 {

// How a dtype is stored: for those HDF5 can describe, so that other tools read right numbers. For
// float8_e4m3fn it cannot (no infinities): bytes, marked by the attribute mpt.dtype.
Result<Handle> file_type(DType dtype);

// One element that can be told from data: NaN, or the lowest (unsigned: highest) integer.
std::vector<std::byte> missing_value(DType dtype);

}  // namespace mpitrain::checkpoint::hdf5
