#pragma once

#include <sys/types.h>

#include <string>
#include <tl/expected.hpp>

#include "mpitrain/wire/message.hpp"
#include "posix.hpp"

namespace mpitrain::rank {

// The user's program, just executed, and our ends of its standard streams (non-blocking; `in` only
// if asked for).
struct Program {
    pid_t pid = 0;  // also its session and its process group
    UniqueFd in;
    UniqueFd out;
    UniqueFd err;
    bool out_is_terminal = false;
};

// Why the program is not running: what wire::Ended says as not_started.
struct StartFailure {
    int error = 0;
    std::string detail;
};

// The program's environment, sorted: `start.env`, what the engine gave us (OMPI_* PMIX_* …),
// MPITRAIN_CONTROL.
std::vector<std::string> program_environment(const wire::Start& start, const char* const* ours);

// The texts as execve(2) wants them; they must outlive the list.
std::vector<char*> exec_list(const std::vector<std::string>& texts);

// The value of `name` in an environment made by program_environment, or "".
std::string environment_value(const std::vector<std::string>& environment, std::string_view name);

// Starts the program and waits until it is executed or has failed (at most 30 s, then it is
// killed): in a session of its own, pinned, in its directory, default signals, SIGKILLed by the
// kernel when this process dies.
tl::expected<Program, StartFailure> start_program(const wire::Start& start,
                                                  const std::vector<std::string>& environment);

// A new file in `directory` that has no name, or in memory where that is not possible there.
tl::expected<UniqueFd, StartFailure> create_nameless_file(const std::string& directory);

// Opens (creates, empties) a rank's file, with the directories above it.
tl::expected<UniqueFd, StartFailure> create_output_file(const std::string& path);

}  // namespace mpitrain::rank
