#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/scheduler/core.hpp"

namespace mpitrain::scheduler {

struct ForecastOptions {
    std::int64_t steps_max = 1'000'000;  // of the copy; what has not started by then stays `never`
    Nanoseconds span = never;            // from the core's now
};

// When each job that waits would first start: a copy of the core is run forward, nothing new is
// submitted, and attempts end when their estimate says. With an estimate that has run out an
// attempt ends at once; without one never. The core itself is left alone, so a host asks "what if"
// by taking a copy, telling it events of its own, and asking for a forecast of that.
// Cost: of copying the state, and of the steps; one call answers for every job.
std::unordered_map<JobId, Nanoseconds> forecast(const Core& core,
                                                const ForecastOptions& options = {});

// Learns how jobs run against what their users say: what the last two of an account ran, as a share
// of their limits, or in time where there was no limit. A value; equal histories, equal answers.
class LearnedEstimates {
  public:
    void ended(const GangRequest& request, Nanoseconds ran);
    // Never above the limit; nullopt while nothing is known and no limit is given.
    [[nodiscard]] std::optional<Nanoseconds> estimate(const GangRequest& request) const;

  private:
    struct Runs {
        double last = 0, before = 0;
        int count = 0;
    };
    static void add(Runs& runs, double value);
    static double mean(const Runs& runs);
    std::map<std::string, Runs, std::less<>> shares_;     // of the limit, by account
    std::map<std::string, Runs, std::less<>> run_times_;  // in seconds, by account
};

}  // namespace mpitrain::scheduler
