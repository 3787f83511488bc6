#pragma once

#include <span>
#include <string_view>

#include <mpi.h>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/result.hpp"

namespace mpitrain::collectives {

// Waits until all requests are done, by polling, since MPI itself has no wait with a deadline.
// Errors: deadline_exceeded naming `call`; the requests are then still in flight.
Result<void> mpi_wait(std::span<MPI_Request> requests, Nanoseconds deadline, std::string_view call);

}  // namespace mpitrain::collectives
