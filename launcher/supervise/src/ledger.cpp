#include "mpitrain/supervise/ledger.hpp"

#include <algorithm>

namespace mpitrain {

void Ledger::close_phase(std::int64_t now_ns) {
    now_ns = std::max(now_ns, mark_ns_);
    const std::int64_t span = now_ns - mark_ns_;
    switch (phase_) {
        case Phase::down:
            down_ns_ += span;
            break;
        case Phase::starting:
            starting_ns_ += span;
            break;
        case Phase::running: {
            const std::int64_t checkpointing = std::min(checkpointing_open_ns_, span);
            checkpointing_ns_ += checkpointing;
            training_ns_ += span - checkpointing;
            break;
        }
        case Phase::over:
            break;
    }
    mark_ns_ = now_ns;
}

void Ledger::attempt_started(std::int64_t now_ns) {
    close_phase(now_ns);
    phase_ = Phase::starting;
}

void Ledger::ranks_running(std::int64_t now_ns) {
    close_phase(now_ns);
    phase_ = Phase::running;
    commit_ns_ = mark_ns_;
    checkpointing_open_ns_ = 0;
    checkpointing_at_commit_ns_ = 0;
}

void Ledger::checkpointing_total(std::int64_t duration_ns) {
    checkpointing_open_ns_ = std::max(checkpointing_open_ns_, duration_ns);
}

void Ledger::committed(std::int64_t at_ns) {
    if (phase_ == Phase::running && at_ns > commit_ns_) {
        commit_ns_ = at_ns;
        checkpointing_at_commit_ns_ = checkpointing_open_ns_;
    }
}

void Ledger::attempt_failed(std::int64_t now_ns) {
    now_ns = std::max(now_ns, mark_ns_);
    if (phase_ == Phase::running) {
        // Of the time after the last commit, what was checkpointing stays checkpointing; the
        // training in it is lost.
        const std::int64_t after = now_ns - std::min(commit_ns_, now_ns);
        const std::int64_t checkpointing_after =
            checkpointing_open_ns_ - checkpointing_at_commit_ns_;
        const std::int64_t trained_before = training_ns_;
        close_phase(now_ns);
        const std::int64_t lost =
            std::clamp<std::int64_t>(after - checkpointing_after, 0, training_ns_ - trained_before);
        training_ns_ -= lost;
        lost_ns_ += lost;
    } else {
        close_phase(now_ns);
    }
    phase_ = Phase::down;
}

void Ledger::finished(std::int64_t now_ns) {
    close_phase(now_ns);
    phase_ = Phase::over;
}

Ledger::Columns Ledger::columns(std::int64_t now_ns) const {
    Ledger closed = *this;
    closed.close_phase(phase_ == Phase::over ? mark_ns_ : now_ns);
    const auto seconds = [](std::int64_t ns) { return static_cast<double>(ns) / 1e9; };
    return {.wall_s = seconds(closed.mark_ns_ - begin_ns_),
            .starting_s = seconds(closed.starting_ns_),
            .training_s = seconds(closed.training_ns_),
            .checkpointing_s = seconds(closed.checkpointing_ns_),
            .lost_s = seconds(closed.lost_ns_),
            .down_s = seconds(closed.down_ns_)};
}

}  // namespace mpitrain
