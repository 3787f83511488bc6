#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>

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
    std::string control;  // the supervisor's address
    int rank = 0;
    pid_t engine = 0;  // who started the guard
};

}  // namespace mpitrain::rank
