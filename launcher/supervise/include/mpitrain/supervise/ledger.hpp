#pragma once

#include <cstdint>
#include <string>

namespace mpitrain {

// Where the wall-clock of a job went. Every nanosecond from the job's start to now is in exactly
// one column, so the columns add up to the wall-clock by construction. Times are CLOCK_MONOTONIC
// nanoseconds, given in order. Not thread-safe; pure.
class Ledger {
  public:
    explicit Ledger(std::int64_t now_ns) : begin_ns_(now_ns), mark_ns_(now_ns) {}

    void attempt_started(std::int64_t now_ns);  // down → starting
    void ranks_running(std::int64_t now_ns);    // starting → training
    // The program has spent this long in checkpoints since its ranks ran: moved from training to
    // checkpointing.
    void checkpointing_total(std::int64_t duration_ns);
    // Progress up to here is durable: a later failure loses only what comes after.
    void committed(std::int64_t at_ns);
    // The attempt failed: what it trained since the last commit is lost; then the job is down.
    void attempt_failed(std::int64_t now_ns);
    // The job is over and what was trained counts.
    void finished(std::int64_t now_ns);

    struct Columns {
        double wall_s = 0;
        double starting_s = 0;
        double training_s = 0;
        double checkpointing_s = 0;
        double lost_s = 0;
        double down_s = 0;
    };
    [[nodiscard]] Columns columns(std::int64_t now_ns) const;

  private:
    enum class Phase : std::uint8_t { down, starting, running, over };
    void close_phase(std::int64_t now_ns);

    Phase phase_ = Phase::down;
    std::int64_t begin_ns_;
    std::int64_t mark_ns_;        // start of the open phase
    std::int64_t commit_ns_ = 0;  // of the open running phase: last commit, or its start
    std::int64_t checkpointing_open_ns_ = 0;       // checkpointing within the open running phase
    std::int64_t checkpointing_at_commit_ns_ = 0;  // how much of it lay before the last commit
    std::int64_t starting_ns_ = 0;
    std::int64_t training_ns_ = 0;
    std::int64_t checkpointing_ns_ = 0;
    std::int64_t lost_ns_ = 0;
    std::int64_t down_ns_ = 0;
};

}  // namespace mpitrain
