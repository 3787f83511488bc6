#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/staging.hpp"

namespace mpitrain::checkpoint {

// Two stages that work side by side on the staging buffers, in turn: `first` runs in a thread of
// its own, `second` in the caller's (or the other way round, as suits them); item i uses buffer
// i % buffer_count. A stage that fails stops both. Ends when all items are done or one has failed;
// which of two errors comes back is the first stage's.
class Pipeline {
  public:
    using Stage = std::function<Result<void>(std::size_t item, std::span<std::byte> buffer)>;

    explicit Pipeline(const Staging& staging) : staging_(staging) {}

    // `first` and `second` may run at the same time, never on the same item.
    Result<void> run(std::size_t items, const Stage& first, const Stage& second);

  private:
    // How far a stage is, for the other to wait on.
    struct Progress {
        std::mutex mutex;
        std::condition_variable changed;
        std::size_t first_done = 0;
        std::size_t second_done = 0;
        bool stopped = false;
    };
    Result<void> run_first(std::size_t items, const Stage& stage, Progress& progress);
    Result<void> run_second(std::size_t items, const Stage& stage, Progress& progress);

    const Staging& staging_;
};

}  // namespace mpitrain::checkpoint
