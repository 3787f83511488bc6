#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "mpitrain/base/result.hpp"

namespace mpitrain::collectives {

// Does numbered work in order, 0, 1, 2 …, each as soon as it has been released: on a thread of its
// own, or, without one, within release(). After an error nothing more is done. One owner.
class Background {
  public:
    Background(bool own_thread, std::function<Result<void>(std::size_t)> work);
    Background(const Background&) = delete;
    Background& operator=(const Background&) = delete;
    ~Background();  // waits for the work under way; what is only released is not begun

    // All numbers below `end` may be done.
    void release(std::size_t end);
    // Returns when all released work is done, or has failed, with that error then and ever after.
    Result<void> wait();
    // Starts again at 0. Only after wait() without an error.
    void restart();

  private:
    void run(const std::stop_token& stop);

    std::function<Result<void>(std::size_t)> work_;
    std::mutex mutex_;  // of all below
    std::condition_variable_any changed_;
    std::size_t released_ = 0;
    std::size_t done_ = 0;
    std::optional<Error> failure_;
    std::jthread thread_;  // last, so that it stops before the rest is gone
};

}  // namespace mpitrain::collectives
