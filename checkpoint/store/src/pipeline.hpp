#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/staging.hpp"

namespace mpitrain::checkpoint {

// Two stages that work side by side on the staging buffers, in turn: item i uses buffer i %
// buffer_count, first in the one stage and then in the other. A stage takes its items in order; one
// of several threads has as many under way at a time, which is how a disk is kept busy. A stage
// that fails stops both. Ends when all items are done or one has failed; which of two errors comes
// back is the first stage's.
class Pipeline {
  public:
    struct Stage {
        int threads = 1;
        std::function<Result<void>(std::size_t item, std::span<std::byte> buffer)> work;
    };

    explicit Pipeline(const Staging& staging) : staging_(staging) {}

    // The caller's thread is one of `second`'s, and before its first item calls `prepare`, while
    // the first stage is at work already.
    Result<void> run(std::size_t items,
                     const Stage& first,
                     const Stage& second,
                     const std::function<Result<void>()>& prepare = {});

  private:
    // A stage's next item, and what each buffer waits for.
    struct Progress {
        std::mutex mutex;
        std::condition_variable changed;
        std::array<std::size_t, 2> next{};
        std::array<std::size_t, Staging::buffer_count> first_turn{};   // the item it is free for
        std::array<std::size_t, Staging::buffer_count> second_turn{};  // 1 + the item it holds
        std::array<Result<void>, 2> outcome{};
        bool stopped = false;
    };
    void work(int which, std::size_t items, const Stage& stage, Progress& progress);

    const Staging& staging_;
};

}  // namespace mpitrain::checkpoint
