#pragma once

#include <sys/types.h>

namespace mpitrain::rank {

// Sends `signal`, a real-time signal, to the first threads of `pid`, so that its flight recorder
// notes their stacks (mpitrain/recorder). Only where `pid` is below this process, catches that
// signal, and is not stopped: nobody is ever hurt. Returns how many threads will answer.
int ask_for_stacks(pid_t pid, int signal);

}  // namespace mpitrain::rank
