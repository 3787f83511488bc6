#pragma once

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <optional>
#include <utility>

// The few words about the operating system that every file of this room needs.
namespace mpitrain::rank {

// Owns a file descriptor; -1 is none.
class UniqueFd {
  public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(std::exchange(other.fd_, -1));
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    [[nodiscard]] int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset(int fd = -1) {
        if (fd_ >= 0) {
            ::close(fd_);
        }
        fd_ = fd;
    }

  private:
    int fd_ = -1;
};

// Repeats a call that a signal interrupted.
template <typename Call>
auto retry(Call call) {
    auto result = call();
    while (result == -1 && errno == EINTR) {
        result = call();
    }
    return result;
}

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Deadline = std::optional<TimePoint>;  // nullopt = never

inline std::int64_t realtime_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Milliseconds for poll(2): rounded up, so that a deadline has passed when poll returns; -1 = for
// ever.
int poll_timeout(Deadline earliest);

// A descriptor that becomes readable when the process has died (pidfd).
UniqueFd open_pidfd(pid_t pid);
// Whether the process of a pidfd is dead, a zombie too, or dies within `patience`. False without a
// pidfd.
bool has_ended(const UniqueFd& pidfd, std::chrono::milliseconds patience);

// Blocks the signals that both processes live through and returns a descriptor that reads them
// (signalfd).
UniqueFd take_signals();

// Undoes it in a child that is about to execute a program: default actions, none blocked.
void reset_signals();

// The next signal that `signals` holds, or nullopt. Never waits.
struct CaughtSignal {
    int number = 0;
    pid_t sender = 0;  // 0 = the kernel, or a process outside of our pid namespace
};
std::optional<CaughtSignal> next_signal(const UniqueFd& signals);

}  // namespace mpitrain::rank
