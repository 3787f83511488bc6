#include "reducer/background.hpp"

#include <chrono>

#include "polite_poll.hpp"

namespace mpitrain::collectives {

namespace {

// About what a bucket of 4 MiB takes, twice: whoever takes longer computes, and wants a core.
constexpr Nanoseconds awake_time = std::chrono::milliseconds(2);

}  // namespace

Background::Background(bool own_thread,
                       std::size_t count,
                       std::function<Result<void>(std::size_t)> work)
    : count_(count), work_(std::move(work)) {
    if (own_thread) {
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }
}

Background::~Background() = default;

void Background::run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (more_.wait(lock, stop, [this] { return done_ < released_ && !failure_; })) {
        const std::size_t next = done_;
        lock.unlock();
        auto result = work_(next);
        lock.lock();
        if (!result) {
            failure_ = std::move(result).error();
        } else {
            ++done_;
        }
        if (failure_ || done_ == released_) {
            idle_.notify_all();
        }
        if (!failure_ && done_ == released_ && done_ < count_) {
            lock.unlock();
            poll_politely([&] { return released_ > next + 1 || stop.stop_requested(); },
                          awake_time);
            lock.lock();
        }
    }
}

void Background::release(std::size_t end) {
    if (thread_.joinable()) {
        {
            const std::lock_guard lock(mutex_);
            released_ = end;
        }
        more_.notify_all();
        return;
    }
    released_ = end;
    while (done_ < released_ && !failure_) {
        if (auto result = work_(done_); result) {
            ++done_;
        } else {
            failure_ = std::move(result).error();
        }
    }
}

Result<void> Background::wait() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return done_ == released_ || failure_; });
    if (failure_) {
        return Error(*failure_);
    }
    return {};
}

void Background::restart() {
    const std::lock_guard lock(mutex_);
    released_ = 0;
    done_ = 0;
}

}  // namespace mpitrain::collectives
