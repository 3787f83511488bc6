#pragma once

#include <mpi.h>

#include <fmt/format.h>
#include <array>
#include <string_view>

#include "mpitrain/base/result.hpp"

namespace mpitrain::checkpoint {

// The Result of an MPI call; its errors have been set to return.
inline Result<void> mpi_done(int status, std::string_view what) {
    if (status == MPI_SUCCESS) {
        return {};
    }
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    MPI_Error_string(status, text.data(), &length);
    return Error(ErrorCode::unavailable, fmt::format("MPI cannot {}: {}", what, text.data()));
}

}  // namespace mpitrain::checkpoint
