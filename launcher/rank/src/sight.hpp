#pragma once

#include <sys/types.h>

#include "mpitrain/wire/message.hpp"

namespace mpitrain::rank {

// What the kernel says of a process that may not be able to answer: its state, and a line for each
// of its first 64 threads with state, name, where in the kernel it waits and in which system call.
// Never waits for the process. `operations` is left empty.
wire::Inspected look_at_process(pid_t pid);

}  // namespace mpitrain::rank
