#include "node/node_group.hpp"

#include <fmt/format.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <ctime>

#include "polite_poll.hpp"

namespace mpitrain::collectives {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int spins_alone = 4000;  // some 50 µs: longer than a step of a peer that has its own core
constexpr int spins_crowded = 20;  // the peer may need this very core
constexpr Nanoseconds yielding_time = std::chrono::milliseconds(2);
// How long a sleep lasts at most: the time until a dead member is noticed.
constexpr Nanoseconds look_around_every = std::chrono::milliseconds(50);

std::size_t round_up(std::size_t bytes, std::size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Not the private kind of futex: its waiters are other processes.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t seen, Nanoseconds timeout) {
    static_assert(sizeof word == sizeof(std::uint32_t));
    const timespec time{.tv_sec = timeout.count() / 1'000'000'000,
                        .tv_nsec = timeout.count() % 1'000'000'000};
    syscall(SYS_futex, &word, FUTEX_WAIT, seen, &time, nullptr, 0);
}

void futex_wake_all(std::atomic<std::uint32_t>& word) {
    syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

std::size_t NodeGroup::result_bytes() const {
    const auto members = shape_.ranks.size();
    return round_up(shape_.outbox_bytes / members + 64, 4096);
}

std::size_t NodeGroup::bytes_for(const NodeShape& shape) {
    const auto members = shape.ranks.size();
    const std::size_t result = round_up(shape.outbox_bytes / members + 64, 4096);
    return head_bytes + round_up(members * sizeof(Line), 4096) +
           members * 2 * (shape.outbox_bytes + result);
}

NodeGroup::NodeGroup(SharedSegment segment, NodeShape shape, Nanoseconds deadline)
    : segment_(std::move(segment)), shape_(std::move(shape)), deadline_(deadline) {}

NodeGroup::Head& NodeGroup::head() const {
    return *reinterpret_cast<Head*>(segment_.bytes().data());
}

NodeGroup::Line& NodeGroup::line(int member) const {
    return reinterpret_cast<Line*>(segment_.bytes().data() + head_bytes)[member];
}

std::byte* NodeGroup::outbox(int member, std::uint32_t step) const {
    const std::size_t lines = round_up(shape_.ranks.size() * sizeof(Line), 4096);
    const std::size_t each = 2 * (shape_.outbox_bytes + result_bytes());
    return segment_.bytes().data() + head_bytes + lines + static_cast<std::size_t>(member) * each +
           (step % 2) * shape_.outbox_bytes;
}

std::byte* NodeGroup::result(int member, std::uint32_t step) const {
    return outbox(member, 0) + 2 * shape_.outbox_bytes + (step % 2) * result_bytes();
}

// Sequentially consistent, with the waiter's store of `sleepers` before its last look at the step:
// of the two crossing accesses one sees the other, and nobody sleeps through a signal.
void NodeGroup::pass(Gate gate, std::uint32_t step) {
    Signal& own = signal(gate, shape_.member);
    if (gate == Gate::filled) {
        line(shape_.member).calls[step % 2].store(call_, std::memory_order_relaxed);
        // Most steps have no result. Without this, 2^31 such steps would make the last result look
        // like one of the future.
        signal(Gate::reduced, shape_.member).step.store(step - 1, std::memory_order_relaxed);
    }
    own.step.store(step);
    if (own.sleepers.load() != 0) {
        own.sleepers.store(0);
        futex_wake_all(own.step);
    }
}

Result<void> NodeGroup::await_all(Gate gate, std::uint32_t step, std::string_view call) {
    for (int distance = 1; distance < size(); ++distance) {
        MPITRAIN_TRY_VOID(await(gate, (shape_.member + distance) % size(), step, call));
    }
    return {};
}

Error NodeGroup::disagreement(int member, std::string_view call) const {
    const int rank = shape_.ranks[static_cast<std::size_t>(member)];
    return Error(ErrorCode::invalid_argument,
                 fmt::format("rank {} made another call, or gave another count, type, op or root",
                             rank))
        .at(call)
        .mend("all ranks must make the same calls in the same order");
}

Result<void> NodeGroup::await_slowly(Gate gate,
                                     int member,
                                     std::uint32_t step,
                                     std::string_view call) {
    const int spins = shape_.crowded || shape_.gives_way ? spins_crowded : spins_alone;
    for (int i = 0; i < spins; ++i) {
        relax();
        if (passed(gate, member, step)) {
            return {};
        }
    }
    const auto has_passed = [&] { return passed(gate, member, step); };
    if (shape_.gives_way) {
        return poll_politely(has_passed, yielding_time)
                   ? Result<void>()
                   : sleep_until_passed(gate, member, step, call);
    }
    constexpr int yields_per_look = 16;
    const auto begin = Clock::now();
    for (int yields = 1; yields % yields_per_look != 0 || Clock::now() - begin < yielding_time;
         ++yields) {
        sched_yield();
        if (has_passed()) {
            return {};
        }
    }
    return sleep_until_passed(gate, member, step, call);
}

Result<void> NodeGroup::sleep_until_passed(Gate gate,
                                           int member,
                                           std::uint32_t step,
                                           std::string_view call) {
    const auto begin = Clock::now();
    const int rank = shape_.ranks[static_cast<std::size_t>(member)];
    Signal& theirs = signal(gate, member);
    for (;;) {
        theirs.sleepers.store(1);
        const std::uint32_t seen = theirs.step.load();
        if (passed(gate, member, step)) {
            return {};
        }
        const auto given_up = head().given_up.load();
        if (given_up != 0) {
            return Error(ErrorCode::unavailable,
                         fmt::format("rank {} gave up", shape_.ranks[given_up - 1]))
                .at(call);
        }
        if (segment_.seat_is_free(member) && !passed(gate, member, step)) {
            return Error(ErrorCode::unavailable, fmt::format("rank {} is gone", rank)).at(call);
        }
        const Nanoseconds waited = Clock::now() - begin + yielding_time;
        if (waited > deadline_) {
            return Error(ErrorCode::deadline_exceeded,
                         fmt::format(
                             "rank {} did not come within {}", rank, format_duration(deadline_)))
                .at(call)
                .mend("see whether it is stuck, or made other calls than this one");
        }
        futex_wait(theirs.step, seen, std::min(look_around_every, deadline_ - waited));
    }
}

void NodeGroup::give_up() {
    std::uint32_t nobody = 0;
    head().given_up.compare_exchange_strong(nobody, static_cast<std::uint32_t>(shape_.member) + 1);
    for (int m = 0; m < size(); ++m) {
        for (Signal& each : line(m).signals) {
            futex_wake_all(each.step);
        }
    }
}

}  // namespace mpitrain::collectives
