#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "mpitrain/base/result.hpp"

namespace mpitrain::collectives {

// Does numbered work in order, 0, 1, 2 … count - 1, each as soon as it has been released: on a
// thread of its own, or, without one, within release(). After an error nothing more is done. One
// owner.
// Between the first and the last work of a round the thread stays awake for a moment, as long as
// nobody else wants its core, since the next release is near.
class Background {
  public:
    Background(bool own_thread, std::size_t count, std::function<Result<void>(std::size_t)> work);
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

    std::size_t count_;
    std::function<Result<void>(std::size_t)> work_;
    std::atomic<std::size_t> released_{0};  // written under the mutex, polled without
    std::mutex mutex_;                      // of all below
    std::condition_variable_any more_;      // work was released
    std::condition_variable_any idle_;      // all of it is done, or failed
    std::size_t done_ = 0;
    std::optional<Error> failure_;
    std::jthread thread_;  // last, so that it stops before the rest is gone
};

}  // namespace mpitrain::collectives
