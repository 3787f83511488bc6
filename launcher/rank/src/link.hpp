#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "connection.hpp"
#include "posix.hpp"

// What the guard (the engine's child) and the agent (the guard's child) share.
namespace mpitrain::rank {

// A page of memory that both see, so that the guard knows enough to report when its agent has been
// killed.
struct SharedFacts {
    std::atomic<pid_t> program = 0;  // its process id once it was started
    std::atomic<bool> ended_sent =
        false;  // the agent has told the supervisor how the program ended
};
static_assert(std::atomic<pid_t>::is_always_lock_free);

// From guard to agent, over a SOCK_SEQPACKET pair. Its end of file tells each side that the other
// has died.
struct GuardNews {
    enum class Kind : std::int32_t { signal, engine_lost };
    Kind kind = Kind::signal;
    std::int32_t signal = 0;
    std::int32_t sender = 0;
};

struct RankOptions {
    ControlAddress control;
    int rank = 0;
    pid_t engine = 0;  // who started the guard
    // Directories of this attempt on this machine, to be made and removed (node_directory.hpp).
    std::vector<std::string> directories = {};
};

}  // namespace mpitrain::rank
