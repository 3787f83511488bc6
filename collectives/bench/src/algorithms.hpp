#pragma once

#include <string>
#include <vector>

#include "cases.hpp"

namespace mpitrain::collectives::bench {

struct Algorithm {
    std::string name;  // "default", or what Open MPI calls it
    MPI_Comm comm = MPI_COMM_NULL;
};

// Communicators over all ranks, each of which makes MPI use one of its algorithms for this
// collective; with another MPI, or where it refuses, the default alone. Collective. They live until
// MPI ends. Before MPI starts, allow_choice() must have been called.
std::vector<Algorithm> find_algorithms(Verb verb);
void allow_choice();

}  // namespace mpitrain::collectives::bench
