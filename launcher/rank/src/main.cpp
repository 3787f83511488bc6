#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "engine_guard.hpp"
#include "mpitrain/base/number.hpp"
#include "rank_guard.hpp"

namespace mpitrain::rank {
namespace {

constexpr const char* usage =
    "mpitrain-rank is started by mpitrain, not by hand:\n"
    "  mpitrain-rank --control unix:PATH|tcp:ADDRESS:PORT [--directory DIR]...\n"
    "      the agent of one rank; its number comes from the engine's environment, the key of a "
    "tcp\n"
    "      connection from MPITRAIN_JOB_KEY; makes DIR, and the last one on a machine removes it\n"
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

// The job's key, which nobody shall read in our environment any more, nor inherit.
Result<std::optional<sealed::Key>> take_key() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the only thread
    char* const text = std::getenv("MPITRAIN_JOB_KEY");
    if (text == nullptr) {
        return std::optional<sealed::Key>();
    }
    MPITRAIN_TRY(const sealed::Key key, sealed::key_from_text(text));
    ::explicit_bzero(text, std::strlen(text));
    ::unsetenv("MPITRAIN_JOB_KEY");  // NOLINT(concurrency-mt-unsafe): the only thread
    return std::optional(key);
}

Result<RankOptions> parse_rank(const std::vector<std::string>& arguments, pid_t parent) {
    RankOptions options;
    options.engine = parent;
    MPITRAIN_TRY(options.rank, rank_from_environment());
    MPITRAIN_TRY(options.control.key, take_key());
    options.control.text = arguments[1];
    for (std::size_t at = 2; at < arguments.size(); at += 2) {
        if (arguments[at] != "--directory" || at + 1 == arguments.size()) {
            return Error(ErrorCode::invalid_argument, std::string("wrong arguments\n") + usage);
        }
        options.directories.push_back(arguments[at + 1]);
    }
    return options;
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
    if (arguments.size() >= 2 && arguments[0] == "--control") {
        MPITRAIN_TRY(const RankOptions options, parse_rank(arguments, parent));
        return run_rank(options);
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
