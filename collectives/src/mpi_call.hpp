#pragma once

#include <fmt/format.h>
#include <mpi.h>

#include <array>
#include <limits>
#include <span>
#include <string_view>

#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/types.hpp"

// MPI's calls with their errors as values. Nothing above this file looks at an MPI return code.
namespace mpitrain::collectives {

inline Error mpi_error(int code, std::string_view call) {
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    int error_class = MPI_ERR_UNKNOWN;
    MPI_Error_string(code, text.data(), &length);
    MPI_Error_class(code, &error_class);
    const std::string_view words(text.data(), static_cast<std::size_t>(length));
    ErrorCode why = ErrorCode::unavailable;  // most others: a peer or its connection is gone
    switch (error_class) {
        case MPI_ERR_NO_MEM:
            why = ErrorCode::resource_exhausted;
            break;
        case MPI_ERR_TRUNCATE:
        case MPI_ERR_COUNT:
        case MPI_ERR_TYPE:
        case MPI_ERR_ROOT:
        case MPI_ERR_RANK:
            why = ErrorCode::invalid_argument;
            break;
        case MPI_ERR_ARG:
        case MPI_ERR_BUFFER:
        case MPI_ERR_COMM:
        case MPI_ERR_OP:
        case MPI_ERR_REQUEST:
            why = ErrorCode::internal;
            break;
        default:
            break;
    }
    return Error(why, fmt::format("{} failed: {}", call, words));
}

inline Result<void> mpi_checked(int code, std::string_view call) {
    if (code != MPI_SUCCESS) {
        return mpi_error(code, call);
    }
    return {};
}

// Whether MPI can be called: after MPI_Init and before MPI_Finalize.
inline bool mpi_runs() {
    int initialized = 0;
    int finalized = 0;
    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    return initialized != 0 && finalized == 0;
}

// A count as MPI 3 takes it. Callers cut larger work into pieces.
inline Result<int> narrow_count(std::size_t count) {
    if (count > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
        return Error(ErrorCode::internal,
                     fmt::format("a count of {} does not fit into MPI's int", count));
    }
    return static_cast<int>(count);
}

// Whether all requests are done; never waits, but lets MPI make progress.
inline Result<bool> mpi_test_all(std::span<MPI_Request> requests) {
    int done = 0;
    const int count = static_cast<int>(requests.size());
    MPITRAIN_TRY_VOID(mpi_checked(MPI_Testall(count, requests.data(), &done, MPI_STATUSES_IGNORE),
                                  "MPI_Testall"));
    return done != 0;
}

}  // namespace mpitrain::collectives
