#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "mpitrain/base/result.hpp"

namespace mpitrain::checkpoint {

// One thread behind the training, of low priority, which does its jobs one after the other. It is
// started by the first job. The destructor waits for the job under way and those behind it.
class WriterThread {
  public:
    using Outcome = Result<std::string>;

    WriterThread() = default;
    WriterThread(const WriterThread&) = delete;
    WriterThread& operator=(const WriterThread&) = delete;
    ~WriterThread();

    // Errors: resource_exhausted (no thread to be had).
    Result<std::future<Outcome>> submit(std::function<Outcome()> job);
    [[nodiscard]] bool is_idle() const;

  private:
    void run();

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::packaged_task<Outcome()>> jobs_;  // the first may be under way
    bool ending_ = false;
    std::thread thread_;
};

// What a job has come to, once it has.
std::optional<WriterThread::Outcome> take_if_done(std::future<WriterThread::Outcome>& job);

}  // namespace mpitrain::checkpoint
