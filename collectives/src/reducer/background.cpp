#include "reducer/background.hpp"

namespace mpitrain::collectives {

Background::Background(bool own_thread, std::function<Result<void>(std::size_t)> work)
    : work_(std::move(work)) {
    if (own_thread) {
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }
}

Background::~Background() = default;

void Background::run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return done_ < released_ && !failure_; })) {
        const std::size_t next = done_;
        lock.unlock();
        auto result = work_(next);
        lock.lock();
        if (result) {
            ++done_;
        } else {
            failure_ = std::move(result).error();
        }
        changed_.notify_all();
    }
}

void Background::release(std::size_t end) {
    if (thread_.joinable()) {
        {
            const std::lock_guard lock(mutex_);
            released_ = end;
        }
        changed_.notify_all();
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
    changed_.wait(lock, [this] { return done_ == released_ || failure_; });
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
