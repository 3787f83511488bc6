#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/model/job_spec.hpp"

namespace mpitrain {

// Notices that a job which used to report progress, or to make collectives that were recorded, does
// so no more (--hang-timeout). A program that never did either is never judged. Pure; times are
// CLOCK_MONOTONIC nanoseconds.
class HangMonitor {
  public:
    HangMonitor(HangTimeoutMode mode, Nanoseconds timeout)
        : mode_(mode), timeout_ns_(timeout.count()) {}

    void attempt_started();
    void progressed(Rank rank, std::uint64_t step, std::int64_t now_ns);
    // A rank has begun this many collectives so far.
    void active(Rank rank, std::uint64_t operations, std::int64_t now_ns);
    // The rank that is furthest behind, once no rank has moved for longer than the limit.
    [[nodiscard]] std::optional<Rank> stuck(std::int64_t now_ns) const;
    // The limit now: the fixed one, or learned: 20 times the longest pause seen so far, at least a
    // minute.
    [[nodiscard]] std::int64_t limit_ns() const;

  private:
    HangTimeoutMode mode_;
    std::int64_t timeout_ns_;
    using Counts = std::map<Rank, std::uint64_t>;
    void moved(Counts& counts, Rank rank, std::uint64_t count, std::int64_t now_ns);

    Counts steps_;
    Counts operations_;
    std::int64_t moved_ns_ = 0;
    std::int64_t longest_pause_ns_ = 0;
    int moves_ = 0;
};

}  // namespace mpitrain
