#pragma once

#include "cases.hpp"

namespace mpitrain::collectives::bench {

// Every collective, type and op at sizes from nothing to several segments, odd ones among them, in
// and out of place, and allreduce, broadcast and allgather beyond 2^31 bytes where `huge` (each
// rank then holds twice that). Gives the number of wrong elements over all ranks. Collective.
// `checks` counts the calls. Errors: those of the communicator.
Result<std::size_t> verify_everything(Communicator& ranks, bool huge, std::size_t& checks);

}  // namespace mpitrain::collectives::bench
