// The main() of tests whose ranks assert together: all ranks run the same cases; the program fails
// on every rank when a case fails on any.
#include <gtest/gtest.h>

#include <cstdio>
#include <vector>

#include "mpitrain/collectives/mpi_interop.hpp"

int main(int argc, char** argv) {
    using namespace mpitrain::collectives;
    testing::InitGoogleTest(&argc, argv);
    auto environment = Environment::open();
    if (!environment) {
        std::fprintf(stderr, "%s\n", environment.error().text().c_str());
        return 1;
    }
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank > 0) {
        testing::GTEST_FLAG(brief) = true;  // one rank tells the story, the others their failures
    }
    std::vector<std::int32_t> failed{RUN_ALL_TESTS()};
    auto world = Communicator::world(*environment, {.deadline = std::chrono::seconds(20)});
    if (!world || !world->allreduce(failed, ReduceOp::max)) {
        return 1;
    }
    if (const auto closed = environment->close(); !closed) {
        std::fprintf(stderr, "%s\n", closed.error().text().c_str());
        return 1;
    }
    // What no case can try, since it is for good.
    const auto after_the_end = world->barrier();
    if (after_the_end || after_the_end.error().code() != mpitrain::ErrorCode::unavailable) {
        std::fprintf(stderr, "a communicator works on after MPI has ended\n");
        return 1;
    }
    return failed[0];
}
