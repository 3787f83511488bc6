#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/sim/simulate.hpp"

namespace mpitrain::sim {

// Gangs above this many GPUs are those whose delay is reported apart.
inline constexpr int gang_threshold_gpus = 8;

struct Summary {
    double mean = 0, p50 = 0, p95 = 0, max = 0;
    std::size_t count = 0;
};
// Percentiles are the smallest value that at least that share does not exceed.
Summary summarise(std::vector<double> values);

// How far shares of usage are from weights: half the sum of their differences (0 to 1), over the
// accounts at the top, and the largest single one.
struct ShareError {
    double total = 0, largest = 0;
};

struct Report {
    std::string policy;
    std::uint64_t seed = 1;
    double preemption_cost_s = 60;
    std::string estimates;
    Summary completion, wait, gang_delay;
    double utilisation = 0;        // busy share from first submission to last end
    double idle_while_queued = 0;  // share of all GPU time that was idle while a job waited
    ShareError share_error = {};
    double decisions_per_s = 0;  // core steps per second of processor time in them
    SimResult result;
};
Report make_report(std::string_view policy, const SimOptions& options, SimResult result);

ShareError share_error(const scheduler::AccountsSpec& accounts,
                       const std::vector<scheduler::AccountShare>& shares);

std::string to_json(const Report& report);  // mpitrain.sim/1, one line; see docs/guide/sim.md

// A page that needs nothing beside it: completion times as curves, use and queue over time, who
// waited, and for what.
std::string to_html(const std::vector<Report>& reports, std::string_view title);

}  // namespace mpitrain::sim
