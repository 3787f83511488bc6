#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "mpitrain/base/number.hpp"
#include "rank_guard.hpp"

namespace mpitrain::rank {
namespace {

constexpr const char* usage =
    "mpitrain-rank: started by mpitrain, not by hand\n"
    "  mpitrain-rank --control unix:PATH        one rank's agent; its number from the engine's "
    "environment\n";

// Which rank the engine says that we are.
Result<int> rank_from_environment() {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"}) {
        if (const char* value = std::getenv(name)) {
            MPITRAIN_TRY(const auto rank, parse_integer(value, 0, 1 << 24));
            return static_cast<int>(rank);
        }
    }
    return Error(ErrorCode::invalid_argument,
                 "none of OMPI_COMM_WORLD_RANK, PMIX_RANK and SLURM_PROCID is set")
        .mend("let mpirun or srun start this program");
}

Result<int> run(const std::vector<std::string>& arguments) {
    const pid_t parent = ::getppid();  // before anything else can have happened to it
    if (arguments.size() == 2 && arguments[0] == "--control") {
        MPITRAIN_TRY(const int rank, rank_from_environment());
        return run_rank({arguments[1], rank, parent});
    }
    return Error(ErrorCode::invalid_argument, std::string("unknown arguments\n") + usage);
}

}  // namespace
}  // namespace mpitrain::rank

int main(int argc, char** argv) {
    try {
        const auto status = mpitrain::rank::run(std::vector<std::string>(argv + 1, argv + argc));
        if (status) {
            return *status;
        }
        std::fprintf(stderr, "mpitrain-rank: %s\n", status.error().text().c_str());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "mpitrain-rank: %s\n", error.what());
    }
    return 2;
}
