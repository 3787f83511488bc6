#pragma once

// The one header that names MPI's types, for programs that call MPI themselves as well.
#include <mpi.h>

#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/communicator.hpp"

namespace mpitrain::collectives {

// A communicator over the ranks of `group`, which it duplicates. Collective over `group`.
Result<Communicator> communicator_from_mpi(MPI_Comm group, const CommunicatorOptions& options = {});

// The MPI communicator underneath, borrowed: valid while `communicator` lives; errors are returned,
// not fatal. Tags 0 to 2 are taken. Errors: invalid_argument for a backend that has none.
Result<MPI_Comm> native_mpi(Communicator& communicator);

}  // namespace mpitrain::collectives
