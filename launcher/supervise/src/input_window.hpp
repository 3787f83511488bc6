#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace mpitrain {

// How much standard input may be under way to a program that does not read it yet. Thread-safe.
class InputWindow {
  public:
    // Waits until `bytes` more fit, and counts them as under way.
    void wait_for_room(std::size_t bytes) {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [this] { return under_way_ < bytes_max; });
        under_way_ += bytes;
    }
    void taken(std::size_t bytes) {
        {
            const std::lock_guard lock(mutex_);
            under_way_ -= std::min(bytes, under_way_);
        }
        room_.notify_one();
    }

  private:
    static constexpr std::size_t bytes_max = std::size_t{256} * 1024;
    std::mutex mutex_;
    std::condition_variable room_;
    std::size_t under_way_ = 0;
};

}  // namespace mpitrain
