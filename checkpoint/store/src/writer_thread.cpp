#include "writer_thread.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <system_error>
#include <utility>

namespace mpitrain::checkpoint {
namespace {

// Where the training and the writing want one core, the training is to have it. Linux knows the
// priority of a thread; a failure is no harm.
void give_way() {
    constexpr int niceness = 10;
    static_cast<void>(
        ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), niceness));
}

}  // namespace

WriterThread::~WriterThread() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
        changed_.notify_all();
    }
    if (thread_.joinable()) {
        thread_.join();
    }
}

Result<std::future<WriterThread::Outcome>> WriterThread::submit(std::function<Outcome()> job) {
    std::packaged_task<Outcome()> task(std::move(job));
    std::future<Outcome> outcome = task.get_future();
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable()) {
        try {
            thread_ = std::thread([this] { run(); });
        } catch (const std::system_error& refused) {
            return Error(ErrorCode::resource_exhausted, "cannot start a thread")
                .at(refused.what())
                .mend("raise the limit on processes (ulimit -u)");
        }
    }
    jobs_.push_back(std::move(task));
    changed_.notify_all();
    return outcome;
}

bool WriterThread::is_idle() const {
    const std::lock_guard lock(mutex_);
    return jobs_.empty();
}

void WriterThread::run() {
    give_way();
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
        if (jobs_.empty()) {
            return;
        }
        std::packaged_task<Outcome()>& job = jobs_.front();
        lock.unlock();
        job();
        lock.lock();
        jobs_.pop_front();
    }
}

std::optional<WriterThread::Outcome> take_if_done(std::future<WriterThread::Outcome>& job) {
    if (job.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        return std::nullopt;
    }
    return job.get();
}

}  // namespace mpitrain::checkpoint
