#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/base/strong_id.hpp"

namespace mpitrain {

// Finds ranks that the others wait for again and again. In a gang every rank's steps take equally
// long, since all wait for the slowest: what tells it is that it waits less than the others in
// their collectives (the flight recorder's time). Where none are recorded, and ranks report
// progress that nothing keeps equal, it is the rate of steps. Pure; times are CLOCK_MONOTONIC
// nanoseconds.
//
// A window is 5 s. In each, a rank is compared with the median of the others: slow is whoever
// waited less by more than a fifth of the window and by more than five times the spread of the
// others (their median deviation, scaled as for a normal distribution), or made fewer than two
// thirds of their steps. It is named after two such windows in a row, and cleared after two that
// are not.
class StragglerWatch {
  public:
    struct Change {
        Rank rank;
        bool slow = false;  // or is so no more
        double share = 0;   // of the time that others wait for it, or fall short of its steps
        bool operator==(const Change&) const = default;
    };

    void attempt_started();
    void progressed(Rank rank, std::uint64_t step);
    // A rank has begun that many collectives, and spent so long in those that ended.
    void active(Rank rank, std::uint64_t operations, std::uint64_t spent_ns);
    // To be called several times a second. What has changed since the last call.
    std::vector<Change> look(std::int64_t now_ns);
    // "rank 3 slow: others wait 40 %", for the worst; empty where none is.
    [[nodiscard]] std::string text() const;

  private:
    struct Counts {
        std::uint64_t operations = 0;
        std::uint64_t spent_ns = 0;
        std::uint64_t steps = 0;
    };
    struct State {
        Counts now;
        Counts at_begin;                // of the window
        int windows = 0;                // in a row that speak against what is said of it
        std::optional<double> slow_by;  // while it is called slow
    };
    [[nodiscard]] std::map<Rank, double> slow_in(double window_ns) const;
    std::vector<Change> judge(const std::map<Rank, double>& slow);

    std::map<Rank, State> ranks_;
    std::optional<std::int64_t> begin_ns_;  // of the window
};

}  // namespace mpitrain
