#include "mpi_wait.hpp"

#include <fmt/format.h>

#include <chrono>

#include "mpi_call.hpp"

namespace mpitrain::collectives {

Result<void> mpi_wait(std::span<MPI_Request> requests,
                      Nanoseconds deadline,
                      std::string_view call) {
    using Clock = std::chrono::steady_clock;
    constexpr int polls_per_look = 64;  // looking at the clock costs more than one poll
    const auto begin = Clock::now();
    for (int polls = 1;; ++polls) {
        MPITRAIN_TRY(const bool done, mpi_test_all(requests));
        if (done) {
            return {};
        }
        if (polls % polls_per_look == 0 && Clock::now() - begin > deadline) {
            return Error(ErrorCode::deadline_exceeded,
                         fmt::format("not all ranks came within {}", format_duration(deadline)))
                .at(call)
                .mend("see whether a rank is stuck, or made other calls than this one");
        }
    }
}

}  // namespace mpitrain::collectives
