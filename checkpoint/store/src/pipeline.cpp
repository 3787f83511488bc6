#include "pipeline.hpp"

#include <system_error>

namespace mpitrain::checkpoint {

Result<void> Pipeline::run_first(std::size_t items, const Stage& stage, Progress& progress) {
    for (std::size_t item = 0; item < items; ++item) {
        {
            std::unique_lock lock(progress.mutex);
            progress.changed.wait(lock, [&] {
                return progress.stopped || item < progress.second_done + Staging::buffer_count;
            });
            if (progress.stopped) {
                return {};
            }
        }
        Result<void> result = stage(item, staging_.buffer(item % Staging::buffer_count));
        const std::lock_guard lock(progress.mutex);
        progress.first_done = item + 1;
        progress.stopped = progress.stopped || !result;
        progress.changed.notify_all();
        if (!result) {
            return result;
        }
    }
    return {};
}

Result<void> Pipeline::run_second(std::size_t items, const Stage& stage, Progress& progress) {
    for (std::size_t item = 0; item < items; ++item) {
        {
            std::unique_lock lock(progress.mutex);
            progress.changed.wait(lock,
                                  [&] { return progress.stopped || item < progress.first_done; });
            if (progress.stopped) {
                return {};
            }
        }
        Result<void> result = stage(item, staging_.buffer(item % Staging::buffer_count));
        const std::lock_guard lock(progress.mutex);
        progress.second_done = item + 1;
        progress.stopped = progress.stopped || !result;
        progress.changed.notify_all();
        if (!result) {
            return result;
        }
    }
    return {};
}

Result<void> Pipeline::run(std::size_t items, const Stage& first, const Stage& second) {
    Progress progress;
    Result<void> second_result;
    std::thread other;
    try {
        other = std::thread([&] { second_result = run_second(items, second, progress); });
    } catch (const std::system_error& refused) {
        return Error(ErrorCode::resource_exhausted, "cannot start a thread")
            .at(refused.what())
            .mend("raise the limit on processes (ulimit -u)");
    }
    Result<void> first_result = run_first(items, first, progress);
    other.join();
    return first_result ? std::move(second_result) : std::move(first_result);
}

}  // namespace mpitrain::checkpoint
