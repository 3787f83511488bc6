#pragma once

#include <mpi.h>

#include <memory>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/peers.hpp"

namespace mpitrain::checkpoint {

// The ranks of `comm`, which is duplicated: collective, and later traffic never meets the caller's.
// Destroy it before MPI_Finalize. Errors: unavailable (MPI not initialised, or an MPI error).
Result<std::unique_ptr<Peers>> mpi_peers(MPI_Comm comm);

}  // namespace mpitrain::checkpoint
