#include "posix.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>

namespace mpitrain::rank {
namespace {

// SIGPIPE and SIGXFSZ are here so that a lost reader and a full quota are errors of write(2),
// nothing more.
constexpr std::array survived_signals = {SIGCHLD,
                                         SIGTERM,
                                         SIGINT,
                                         SIGHUP,
                                         SIGQUIT,
                                         SIGUSR1,
                                         SIGUSR2,
                                         SIGCONT,
                                         SIGTSTP,
                                         SIGTTIN,
                                         SIGTTOU,
                                         SIGWINCH,
                                         SIGALRM,
                                         SIGPIPE,
                                         SIGXFSZ};

}  // namespace

int poll_timeout(Deadline earliest) {
    if (!earliest) {
        return -1;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*earliest - Clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
}

UniqueFd open_pidfd(pid_t pid) {
    // Not <sys/pidfd.h>: glibc 2.36's cannot be linked from C++.
    return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

bool has_ended(const UniqueFd& pidfd, std::chrono::milliseconds patience) {
    pollfd end{pidfd.get(), POLLIN, 0};
    return pidfd && ::poll(&end, 1, static_cast<int>(patience.count())) == 1 &&
           (end.revents & POLLIN) != 0;
}

UniqueFd take_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : survived_signals) {
        sigaddset(&set, number);
        // An inherited "ignore" would keep the signal from ever being pending, SIGCHLD's even the
        // exit status.
        ::signal(number, SIG_DFL);
    }
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    return UniqueFd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

void reset_signals() {
    for (int number = 1; number < NSIG; ++number) {
        ::signal(number, SIG_DFL);
    }
    sigset_t none;
    sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

std::optional<CaughtSignal> next_signal(const UniqueFd& signals) {
    signalfd_siginfo info{};
    if (::read(signals.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) {
        return std::nullopt;
    }
    return CaughtSignal{static_cast<int>(info.ssi_signo), static_cast<pid_t>(info.ssi_pid)};
}

}  // namespace mpitrain::rank
