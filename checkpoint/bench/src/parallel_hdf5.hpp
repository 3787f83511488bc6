#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/tensor.hpp"
#include "team.hpp"

namespace mpitrain::checkpoint::bench {

// False where the HDF5 at hand is a serial one.
bool has_parallel_hdf5();

// The usual way: one shared file through MPI-IO, one collective write a tensor, each rank its rows;
// space allocated early and never filled, metadata collective. Durable on return. Collective.
// `tensors` are this rank's, `memory` holds them as to_save() places them.
Result<void> write_parallel_hdf5(const Team& team,
                                 const std::string& path,
                                 std::span<const TensorSpec> tensors,
                                 std::span<std::byte> memory);

}  // namespace mpitrain::checkpoint::bench
