#include "team.hpp"

#include <chrono>
#include <thread>

namespace mpitrain::checkpoint::bench {

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

Team::Team(MPI_Comm comm) : comm_(comm) {
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
}

void Team::barrier() const {
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Ibarrier(comm_, &request);
    for (int done = 0; done == 0;) {
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (done == 0) {
            std::this_thread::sleep_for(std::chrono::microseconds(30));
        }
    }
}

bool Team::all(bool mine) const {
    int told = mine ? 1 : 0;
    MPI_Allreduce(MPI_IN_PLACE, &told, 1, MPI_INT, MPI_MIN, comm_);
    return told == 1;
}

double Team::max(double mine) const {
    MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_DOUBLE, MPI_MAX, comm_);
    return mine;
}

Result<double> Team::timed(const std::function<Result<void>()>& work) const {
    barrier();
    const double begun = seconds_now();
    Result<void> done = work();
    barrier();
    const double taken = seconds_now() - begun;
    const bool all_well = all(done.has_value());
    if (!done) {
        return Error(std::move(done).error());
    }
    if (!all_well) {
        return Error(ErrorCode::unavailable, "another rank failed");
    }
    return taken;
}

}  // namespace mpitrain::checkpoint::bench
