#pragma once

#include <mpi.h>

#include <functional>
#include <string>

#include "mpitrain/base/result.hpp"

namespace mpitrain::checkpoint::bench {

// Ranks that measure together. The communicator must outlive it. Its calls are collective.
class Team {
  public:
    explicit Team(MPI_Comm comm);
    [[nodiscard]] MPI_Comm comm() const { return comm_; }
    [[nodiscard]] int rank() const { return rank_; }
    [[nodiscard]] int size() const { return size_; }

    // Polls asleep: a waiting rank leaves its core to one that works.
    void barrier() const;
    // Whether all ranks say so.
    [[nodiscard]] bool all(bool mine) const;
    // The largest of all ranks' values.
    [[nodiscard]] double max(double mine) const;
    // Seconds from a barrier before `work` to one after it. Errors: this rank's, or that another
    // failed.
    Result<double> timed(const std::function<Result<void>()>& work) const;

  private:
    MPI_Comm comm_;
    int rank_ = 0;
    int size_ = 1;
};

double seconds_now();

}  // namespace mpitrain::checkpoint::bench
