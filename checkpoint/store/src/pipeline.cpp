#include "pipeline.hpp"

#include <system_error>
#include <thread>
#include <vector>

namespace mpitrain::checkpoint {

void Pipeline::work(int which, std::size_t items, const Stage& stage, Progress& progress) {
    const auto at = static_cast<std::size_t>(which);
    for (;;) {
        std::size_t item = 0;
        std::size_t buffer = 0;
        {
            std::unique_lock lock(progress.mutex);
            item = progress.next[at]++;
            buffer = item % Staging::buffer_count;
            if (item >= items) {
                return;
            }
            progress.changed.wait(lock, [&] {
                return progress.stopped || (which == 0 ? progress.first_turn[buffer] == item
                                                       : progress.second_turn[buffer] == item + 1);
            });
            if (progress.stopped) {
                return;
            }
        }
        Result<void> result = stage.work(item, staging_.buffer(buffer));
        const std::lock_guard lock(progress.mutex);
        if (!result) {
            progress.stopped = true;
            if (progress.outcome[at]) {  // the first error counts
                progress.outcome[at] = std::move(result);
            }
        } else if (which == 0) {
            progress.second_turn[buffer] = item + 1;
        } else {
            progress.first_turn[buffer] = item + Staging::buffer_count;
        }
        progress.changed.notify_all();
    }
}

Result<void> Pipeline::run(std::size_t items,
                           const Stage& first,
                           const Stage& second,
                           const std::function<Result<void>()>& prepare) {
    if (items == 0) {
        return prepare ? prepare() : Result<void>();
    }
    Progress progress;
    for (std::size_t buffer = 0; buffer < Staging::buffer_count; ++buffer) {
        progress.first_turn[buffer] = buffer;
    }
    std::vector<std::thread> others;
    try {
        for (int i = 0; i < first.threads; ++i) {
            others.emplace_back([&] { work(0, items, first, progress); });
        }
        for (int i = 1; i < second.threads; ++i) {
            others.emplace_back([&] { work(1, items, second, progress); });
        }
    } catch (const std::system_error& refused) {
        // One thread of a stage is enough to go on; without any there is no first stage.
        if (others.empty()) {
            return Error(ErrorCode::resource_exhausted, "cannot start a thread")
                .at(refused.what())
                .mend("raise the limit on processes (ulimit -u)");
        }
    }
    if (Result<void> prepared = prepare ? prepare() : Result<void>(); !prepared) {
        const std::lock_guard lock(progress.mutex);
        progress.stopped = true;
        progress.outcome[1] = std::move(prepared);
        progress.changed.notify_all();
    }
    work(1, items, second, progress);
    for (std::thread& other : others) {
        other.join();
    }
    return progress.outcome[0] ? std::move(progress.outcome[1]) : std::move(progress.outcome[0]);
}

}  // namespace mpitrain::checkpoint
