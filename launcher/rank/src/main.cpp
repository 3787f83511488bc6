#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "engine_guard.hpp"
#include "mpitrain/base/number.hpp"
#include "rank_guard.hpp"

namespace mpitrain::rank {
namespace {

constexpr const char* usage =
    "mpitrain-rank is started by mpitrain, not by hand:\n"
    "  mpitrain-rank --control unix:PATH\n"
    "      the agent of one rank; its number comes from the engine's environment\n"
    "  mpitrain-rank --guard [--lifeline FD] [--remove DIR]... -- COMMAND [ARG]...\n"
    "      runs the engine; ends all its descendants, removes DIR, when it or FD's other end is "
    "gone";

// Which rank the engine says that we are.
Result<int> rank_from_environment() {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"}) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): the only thread
        if (const char* value = std::getenv(name)) {
            MPITRAIN_TRY(const auto rank, parse_integer(value, 0, 1 << 24));
            return static_cast<int>(rank);
        }
    }
    return Error(ErrorCode::invalid_argument,
                 "none of OMPI_COMM_WORLD_RANK, PMIX_RANK and SLURM_PROCID is set")
        .mend("let mpirun or srun start this program");
}

Result<EngineGuardOptions> parse_guard(const std::vector<std::string>& arguments) {
    EngineGuardOptions options;
    std::size_t at = 1;
    for (; at + 1 < arguments.size() && arguments[at] != "--"; at += 2) {
        if (arguments[at] == "--lifeline") {
            MPITRAIN_TRY(const auto fd, parse_integer(arguments[at + 1], 3, 1 << 20));
            options.lifeline = static_cast<int>(fd);
        } else if (arguments[at] == "--remove") {
            options.remove.push_back(arguments[at + 1]);
        } else {
            break;
        }
    }
    if (at + 1 >= arguments.size() || arguments[at] != "--") {
        return Error(ErrorCode::invalid_argument, std::string("wrong arguments\n") + usage);
    }
    options.command.assign(arguments.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                           arguments.end());
    return options;
}

Result<int> run(const std::vector<std::string>& arguments) {
    const pid_t parent = ::getppid();  // before anything else can have happened to it
    if (arguments.size() == 2 && arguments[0] == "--control") {
        MPITRAIN_TRY(const int rank, rank_from_environment());
        return run_rank({arguments[1], rank, parent});
    }
    if (!arguments.empty() && arguments[0] == "--guard") {
        MPITRAIN_TRY(const EngineGuardOptions options, parse_guard(arguments));
        return run_engine_guard(options);
    }
    if (arguments.size() == 1 && arguments[0] == "--help") {
        std::puts(usage);
        return 0;
    }
    if (arguments.size() == 1 && arguments[0] == "--version") {  // mpitrain doctor compares it
        std::puts("mpitrain-rank " MPITRAIN_VERSION);
        return 0;
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
