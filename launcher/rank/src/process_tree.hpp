#pragma once

#include <sys/types.h>

#include <functional>
#include <string_view>
#include <vector>

#include "posix.hpp"

// Our descendants, and their end. Works because the caller is a child subreaper: a process that
// double-forks or changes its session is still found below us, and "no child left" (ECHILD) proves
// that nothing is.
namespace mpitrain::rank {

struct ProcessStat {
    pid_t pid = 0;
    char state = '?';
    pid_t parent = 0;
    pid_t group = 0;
    pid_t session = 0;
};

// Reads one line of /proc/PID/stat; nullopt when it is not one. The program's name may hold any
// byte, blanks and ")" too.
std::optional<ProcessStat> parse_process_stat(std::string_view text);

// Every process that /proc shows now. Costs about 10 us a process.
std::vector<ProcessStat> all_processes();

// The living (not zombie) descendants of `ancestor`, without itself.
std::vector<ProcessStat> living_descendants(pid_t ancestor);

// Called for each dead child before it is reaped, so that /proc still tells about it.
using OnZombie = std::function<void(const siginfo_t&)>;

// Reaps every dead child. Returns whether any child, dead or alive, is left.
bool reap_children(const OnZombie& on_zombie);

// SIGKILLs every descendant again and again, reaping, until none is left or `deadline` has passed.
// Returns how many processes it killed.
int kill_descendants(TimePoint deadline, const OnZombie& on_zombie);

}  // namespace mpitrain::rank
