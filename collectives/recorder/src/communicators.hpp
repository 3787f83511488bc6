#pragma once

#include <mpi.h>

#include <cstdint>

namespace mpitrain::recorder {

// What the recorder knows of a communicator.
struct KnownCommunicator {
    std::uint64_t group = 0;  // as in Operation
    std::uint32_t ranks = 0;
    std::uint64_t number = 0;  // of the last collective
};

// Of `comm`, looked up in an attribute that it carries, and made at its first use. Null where MPI
// cannot say (before MPI_Init, or no communicator): then nothing is noted.
KnownCommunicator* find_communicator(MPI_Comm comm);

}  // namespace mpitrain::recorder
