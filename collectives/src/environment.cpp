#include "mpitrain/collectives/environment.hpp"

#include "mpi_call.hpp"
#include "mpi_wait.hpp"

namespace mpitrain::collectives {

Result<Environment> Environment::open(ThreadUse threads) {
    const int wanted = threads == ThreadUse::any             ? MPI_THREAD_MULTIPLE
                       : threads == ThreadUse::one_at_a_time ? MPI_THREAD_SERIALIZED
                                                             : MPI_THREAD_FUNNELED;
    int initialized = 0;
    int given = MPI_THREAD_SINGLE;
    MPI_Initialized(&initialized);
    if (initialized != 0) {
        if (!mpi_runs()) {
            return Error(ErrorCode::unavailable, "MPI has ended and cannot start again");
        }
        MPITRAIN_TRY_VOID(mpi_checked(MPI_Query_thread(&given), "MPI_Query_thread"));
    } else {
        MPITRAIN_TRY_VOID(
            mpi_checked(MPI_Init_thread(nullptr, nullptr, wanted, &given), "MPI_Init_thread"));
    }
    if (given < wanted) {
        return Error(ErrorCode::unsupported, "this MPI does not allow calls from that many threads")
            .mend("use an MPI built with MPI_THREAD_MULTIPLE");
    }
    const bool owner = initialized == 0;
    if (owner) {
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    }
    return Environment(owner);
}

Environment::Environment(Environment&& other) noexcept : owner_(other.owner_) {
    other.owner_ = false;
}

Environment::~Environment() = default;

Result<void> Environment::close(Nanoseconds deadline) {
    if (!owner_ || !mpi_runs()) {
        return {};
    }
    // MPI_Finalize has no deadline, so the waiting for the others happens here.
    MPI_Request request = MPI_REQUEST_NULL;
    MPITRAIN_TRY_VOID(mpi_checked(MPI_Ibarrier(MPI_COMM_WORLD, &request), "MPI_Ibarrier"));
    MPITRAIN_TRY_VOID(mpi_wait({&request, 1}, deadline, "ending MPI"));
    owner_ = false;
    return mpi_checked(MPI_Finalize(), "MPI_Finalize");
}

}  // namespace mpitrain::collectives
