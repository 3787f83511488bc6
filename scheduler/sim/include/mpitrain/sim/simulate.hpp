#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/scheduler/core.hpp"
#include "mpitrain/sim/trace.hpp"

namespace mpitrain::sim {

// What a policy is told of how long jobs run. `automatic`: an oracle gets the truth, others the
// trace's own estimates; EASY the truth where the trace has none, so that it can be compared.
// `learned`: from how the account's last two jobs ran, against their limits where it has any.
enum class Estimates : std::uint8_t { automatic, none, exact, column, noisy, learned };
std::string_view to_string(Estimates estimates);

struct Faults {
    Nanoseconds node_mtbf{};         // mean time between losses of one node; 0 = none
    Nanoseconds repair{};            // until it is up again
    Nanoseconds checkpoint_every{};  // a lost node costs the work since the last one
};

struct SimOptions {
    Nanoseconds preemption_cost = std::chrono::seconds(60);  // work added for each preemption
    Estimates estimates = Estimates::automatic;
    double noise_sigma = 1.0;  // of the logarithm, for noisy estimates
    std::uint64_t seed = 1;
    Faults faults = {};
    bool check = true;                      // after every step; see checker.hpp
    scheduler::AccountsSpec accounts = {};  // whose jobs they are: see account_of
    Nanoseconds until = scheduler::never;   // since the first submission; what is not over is left
    // Ask why each job that must wait does, and for every n-th when it will start; 0 = ask nothing.
    int forecast_every = 0;
    // Called now and then with the share of jobs that have ended, 0 to 1.
    std::function<void(double)> progress = {};
};

// The account that a job of a trace is charged to: its user, or its queue where it names none.
const std::string& account_of(const TraceJob& job);

// What became of one job. Times in seconds.
struct JobOutcome {
    JobId job;
    std::string account = {};
    int gpus = 1;
    double submitted_s = 0;
    double started_s = 0;  // the first time
    double ended_s = 0;
    double duration_s = 0;
    int preemptions = 0;

    [[nodiscard]] double completion_s() const { return ended_s - submitted_s; }
    [[nodiscard]] double wait_s() const { return started_s - submitted_s; }
    // All that it was longer here than it would have been alone: waits, preemptions and what they
    // cost.
    [[nodiscard]] double delay_s() const { return completion_s() - duration_s; }
};

// The cluster at one moment, for plots.
struct Moment {
    double at_s = 0;  // since the first submission
    std::int64_t busy_gpus = 0;
    std::size_t pending = 0;
};

// What the core said of jobs that had to wait when they came.
struct Answers {
    std::int64_t asked = 0;
    std::int64_t without_cause = 0;
    std::map<std::string, std::int64_t> causes = {};
    std::vector<double> explain_us = {};
    std::vector<double> forecast_ms = {};    // each answers for all that wait
    std::vector<double> start_error = {};    // |expected - true wait| / true wait
    std::vector<double> start_error_s = {};  // |expected - true start|
    std::int64_t without_start = 0;          // no start could be told
};

struct SimResult {
    std::vector<JobOutcome> jobs;  // that ended, by the time they did
    std::size_t unfinished = 0;    // when the time was up
    std::vector<Moment> moments;   // at most a few thousand, evenly spread
    Answers answers;
    std::vector<scheduler::AccountShare> shares;
    int rejected = 0;  // larger than the cluster
    int total_gpus = 0;
    double span_s = 0;  // from the first submission to the last end
    double busy_gpu_s = 0;
    double idle_while_queued_gpu_s = 0;  // free GPUs while at least one job waited
    std::int64_t preemptions = 0;
    std::int64_t nodes_lost = 0;
    std::int64_t steps = 0;  // of the core
    double step_wall_s = 0;  // spent in them
    std::int64_t starts = 0;
    std::int64_t checker_violations = 0;
    std::string first_violation;
    std::uint64_t decisions_digest = 0;     // of every start and stop, with its time
    Estimates estimates = Estimates::none;  // what `automatic` came to
};

// Runs the trace through the scheduling core on a simulated clock. Equal arguments give equal
// results, but for step_wall_s. Errors: those of the core and of building it.
Result<SimResult> simulate(const scheduler::ClusterSpec& cluster,
                           const Trace& trace,
                           std::unique_ptr<scheduler::Policy> policy,
                           const SimOptions& options);

}  // namespace mpitrain::sim
