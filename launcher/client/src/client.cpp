#include "mpitrain/client.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "attachment.hpp"

namespace mpitrain::client {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t decision_limit_ns = 10 * second_ns;
constexpr std::int64_t commit_limit_ns = 2 * second_ns;

std::int64_t now_ns(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return std::int64_t{now.tv_sec} * second_ns + now.tv_nsec;
}

StopPhase phase_of(const ControlPage& page) {
    return static_cast<StopPhase>(page.stop_phase.load());
}

// Waits while the stop is being agreed on. Returns whether it was decided in time.
bool await_decision(ControlPage& page) {
    const std::int64_t deadline = now_ns(CLOCK_MONOTONIC) + decision_limit_ns;
    while (phase_of(page) == StopPhase::hold) {
        const std::int64_t left = deadline - now_ns(CLOCK_MONOTONIC);
        if (left <= 0) {
            return false;
        }
        const timespec limit{left / second_ns, left % second_ns};
        ::syscall(SYS_futex,
                  &page.stop_phase,
                  FUTEX_WAIT,
                  static_cast<std::uint32_t>(StopPhase::hold),
                  &limit,
                  nullptr,
                  0);
    }
    return phase_of(page) == StopPhase::decided;
}

std::optional<std::string> environment(const char* name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): as safe as the program makes its environment
    const char* const value = std::getenv(name);
    if (value == nullptr || *value == '\0') {
        return std::nullopt;
    }
    return value;
}

}  // namespace

void progress(std::uint64_t step, std::uint64_t total, std::span<const Metric> metrics) {
    ControlPage* const page = detail::page();
    if (page == nullptr) {
        return;
    }
    const std::uint64_t sequence = page->progress_sequence.load(std::memory_order_relaxed) | 1U;
    page->progress_sequence.store(sequence, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    page->step.store(step, std::memory_order_relaxed);
    page->total.store(total, std::memory_order_relaxed);
    const std::size_t count = std::min(metrics.size(), ControlPage::metrics_max);
    for (std::size_t i = 0; i < count; ++i) {
        ControlPage::MetricSlot slot{{}, metrics[i].value};
        metrics[i].name.copy(slot.name.data(), slot.name.size() - 1);
        page->metrics[i] = slot;
    }
    page->metric_count.store(count, std::memory_order_relaxed);
    page->progress_sequence.store(sequence + 1, std::memory_order_release);
}

bool should_stop(std::uint64_t step) {
    ControlPage* const page = detail::page();
    if (page == nullptr) {
        return false;
    }
    if (page->client_use.load(std::memory_order_relaxed) < 2) {
        detail::catch_terminate();
        page->client_use.store(2);
    }
    // The order of these two lines is the handshake: see StopPhase. Both are sequentially
    // consistent.
    if (page->answered.load(std::memory_order_relaxed) < step + 1) {
        page->answered.store(step + 1);
    }
    const StopPhase phase = phase_of(*page);
    if (phase == StopPhase::none || (phase == StopPhase::hold && !await_decision(*page))) {
        return false;
    }
    const bool stop = step >= page->stop_step.load();
    if (stop) {
        page->told_stop.store(1);
    }
    return stop;
}

void checkpoint_started() {
    if (ControlPage* const page = detail::page()) {
        page->checkpoint_started_ns.store(static_cast<std::uint64_t>(now_ns(CLOCK_MONOTONIC)));
    }
}

namespace {

void end_checkpoint(ControlPage& page) {
    if (const std::uint64_t started = page.checkpoint_started_ns.exchange(0)) {
        page.checkpoint_ns += static_cast<std::uint64_t>(now_ns(CLOCK_MONOTONIC)) - started;
    }
}

}  // namespace

void checkpoint_failed(std::uint64_t step, std::string_view reason) {
    ControlPage* const page = detail::page();
    if (page == nullptr) {
        return;
    }
    end_checkpoint(*page);
    const std::uint64_t sequence = page->failed_sequence.load(std::memory_order_relaxed) | 1U;
    page->failed_sequence.store(sequence, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    page->failed_step.store(step, std::memory_order_relaxed);
    std::array<char, sizeof page->failed_reason> text{};
    reason.copy(text.data(), text.size() - 1);
    page->failed_reason = text;
    page->failed_sequence.store(sequence + 1, std::memory_order_release);
}

std::optional<std::chrono::nanoseconds> stop_time_left() {
    ControlPage* const page = detail::page();
    const std::uint64_t deadline = page == nullptr ? 0 : page->stop_deadline_ns.load();
    if (deadline == 0 || page->told_stop.load() == 0) {
        return std::nullopt;
    }
    const std::int64_t left = static_cast<std::int64_t>(deadline) - now_ns(CLOCK_MONOTONIC);
    return std::chrono::nanoseconds(std::max<std::int64_t>(left, 0));
}

void checkpoint_committed(std::uint64_t step) {
    ControlPage* const page = detail::page();
    if (page == nullptr) {
        return;
    }
    end_checkpoint(*page);
    const std::uint64_t index = page->commits.load();
    // The agent looks four times a second. A program that commits faster than that waits for it, so
    // that none is lost.
    const std::int64_t deadline = now_ns(CLOCK_MONOTONIC) + commit_limit_ns;
    while (index - page->commits_read.load() >= ControlPage::commits_kept &&
           now_ns(CLOCK_MONOTONIC) < deadline) {
        ::usleep(5'000);
    }
    const std::size_t slot = index % ControlPage::commits_kept;
    page->commit_step[slot].store(step);
    page->commit_time_ns[slot].store(now_ns(CLOCK_REALTIME));
    page->commits.store(index + 1);
}

std::optional<std::string> resume_path() {
    return environment("MPITRAIN_RESUME");
}

std::optional<std::string> checkpoint_directory() {
    return environment("MPITRAIN_CHECKPOINT_DIR");
}

}  // namespace mpitrain::client
