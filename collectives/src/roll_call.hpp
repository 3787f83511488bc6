#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/collectives/communicator.hpp"

namespace mpitrain::collectives {

// What the ranks said of themselves, by rank; nothing of those that did not answer in time.
using Answers = std::vector<std::optional<std::uint8_t>>;

// Asks every rank for one byte and tells all that answered what the others said. Unlike a
// collective it ends well, and names them, where some do not come; ranks may be as far apart as a
// quarter of `patience`. Backend mpi. After an answer that is missing, no further roll call of this
// communicator makes sense.
// Errors: deadline_exceeded (rank 0, which keeps the roll, did not answer), those of MPI.
Result<Answers> roll_call(Communicator& ranks, std::uint8_t mine, Nanoseconds patience);

// "rank 3", "ranks 1, 2 and 7": those that did not answer; nothing where all did.
std::string absentees(const Answers& answers);

}  // namespace mpitrain::collectives
