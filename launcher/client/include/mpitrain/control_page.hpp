#pragma once

#include <array>
#include <atomic>
#include <cstdint>

// The page of shared memory between one program and its rank agent (docs/formats/control-page.md).
// The agent creates the file and names it in MPITRAIN_CONTROL; the program maps it. Both sides only
// ever store and load atomics, so neither can block or corrupt the other, and the agent can read it
// when the program cannot answer.
namespace mpitrain::client {

// The agreement on a stop (a Dekker handshake, all accesses sequentially consistent):
//   program, in should_stop(s):  answered = s + 1;  then reads stop_phase;  none → "no", decided →
//   s >= stop_step, hold → waits agent, on StopPrepare:       stop_phase = hold; then reads
//   answered
// Either the program sees the hold and waits, or the agent sees that step s was answered. The
// supervisor decides on max over ranks + 1, so no rank was ever told "no" for a step at which
// another stops.
enum class StopPhase : std::uint32_t { none, hold, decided };

struct ControlPage {
    static constexpr std::uint64_t expected_magic =
        0x31'65'67'61'70'74'70'6d;  // "mptpage1", little-endian
    static constexpr std::size_t metrics_max = 8;
    static constexpr std::size_t commits_kept = 64;
    struct MetricSlot {
        std::array<char, 32> name;  // NUL-terminated
        double value;
    };

    std::uint64_t magic;
    std::uint64_t agent_pid;

    // Stop; written by the agent. stop_phase is a futex word.
    std::atomic<std::uint32_t> stop_phase;
    std::atomic<std::uint32_t> client_use;  // wire::ClientUse; written by the program
    std::atomic<std::uint64_t> stop_step;
    std::atomic<std::uint64_t> answered;   // highest step asked + 1; written by the program
    std::atomic<std::uint64_t> told_stop;  // 1 once should_stop said yes
    std::atomic<std::uint64_t>
        external_stop;  // signal number that reached the program from outside, else 0
    std::atomic<std::uint64_t> external_stop_pid;  // who sent it

    // Progress; written by the program under a sequence lock (odd = being written).
    std::atomic<std::uint64_t> progress_sequence;
    std::atomic<std::uint64_t> step;
    std::atomic<std::uint64_t> total;
    std::atomic<std::uint64_t> metric_count;
    std::array<MetricSlot, metrics_max> metrics;

    // Checkpoints; written by the program.
    std::atomic<std::uint64_t> commits;  // number of commits ever; entry i is at i % commits_kept
    std::array<std::atomic<std::uint64_t>, commits_kept> commit_step;
    std::array<std::atomic<std::int64_t>, commits_kept> commit_time_ns;  // CLOCK_REALTIME
    std::atomic<std::uint64_t>
        commits_read;  // written by the agent: entries below it may be overwritten
    std::atomic<std::uint64_t> checkpoint_ns;          // total time between started and committed
    std::atomic<std::uint64_t> checkpoint_started_ns;  // CLOCK_MONOTONIC; 0 = not in a checkpoint

    // When the program will be killed after a stop, CLOCK_MONOTONIC; 0 = none; written by the
    // agent.
    std::atomic<std::uint64_t> stop_deadline_ns;
    // The last save that failed; written by the program. Odd while being written; twice the number
    // of failures.
    std::atomic<std::uint64_t> failed_sequence;
    std::atomic<std::uint64_t> failed_step;
    std::array<char, 256> failed_reason;  // NUL-terminated
};

constexpr std::size_t control_page_bytes = 4096;
static_assert(sizeof(ControlPage) <= control_page_bytes);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace mpitrain::client
