#pragma once

#include <cstddef>
#include <deque>
#include <functional>

namespace mpitrain::collectives::testing {

// A stream on host memory: work waits in order until it can be done. One thread's own.
struct FakeStream {
    std::deque<std::function<bool()>> pending;  // each returns whether it is done
    std::size_t enqueued = 0;                   // ever
    bool held = false;                          // nothing is done

    void enqueue(std::function<bool()> work) {
        ++enqueued;
        pending.push_back(std::move(work));
        drain();
    }
    // Does what can be done; returns whether nothing is left.
    bool drain() {
        while (!held && !pending.empty() && pending.front()()) {
            pending.pop_front();
        }
        return pending.empty();
    }
    [[nodiscard]] std::size_t done() const { return enqueued - pending.size(); }
};

}  // namespace mpitrain::collectives::testing
