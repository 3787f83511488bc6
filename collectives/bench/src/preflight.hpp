#pragma once

#include <cstddef>

#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/communicator.hpp"
#include "options.hpp"

namespace mpitrain::collectives::bench {

// A short look at every slot before a job: memory, messages between all pairs, an allreduce that is
// checked; prints a table (or JSON) on rank 0 and gives the number of suspects, which are named.
// Takes about a second for 8 ranks on sound machines. Collective. Errors: those of the
// communicator, naming the rank that does not answer.
Result<std::size_t> preflight(const Options& options, Communicator& ranks);

}  // namespace mpitrain::collectives::bench
