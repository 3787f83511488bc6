#include <mpi.h>

#include <cstdio>

// The smallest complete MPI program: what `mpitrain bench launch` starts.
int main(int argc, char** argv) {
    if (MPI_Init(&argc, &argv) != MPI_SUCCESS) {
        return 1;
    }
    int rank = 0;
    int size = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    std::printf("hello from rank %d of %d\n", rank, size);
    return MPI_Finalize() == MPI_SUCCESS ? 0 : 1;
}
