#pragma once

#include <sched.h>

#include <chrono>

#include "mpitrain/base/duration.hpp"

namespace mpitrain::collectives {

// Polls `done` for at most that long, while nobody else wants the core: it is offered after every
// look, and a yield that does not come back at once has found a taker. Returns done()'s last
// answer. Waking from a sleep costs some 50 µs, more where the core itself went idle; polling costs
// nothing that anyone else could have used.
template <typename Done>
bool poll_politely(const Done& done, Nanoseconds at_most) {
    using Clock = std::chrono::steady_clock;
    constexpr Nanoseconds taken = std::chrono::microseconds(20);
    const auto begin = Clock::now();
    auto before = begin;
    while (!done()) {
        sched_yield();
        const auto after = Clock::now();
        if (after - before > taken || after - begin > at_most) {
            return done();
        }
        before = after;
    }
    return true;
}

}  // namespace mpitrain::collectives
