#include "mpitrain/sim/simulate.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <random>

#include "mpitrain/sim/report.hpp"

namespace mpitrain::sim {
namespace {

using scheduler::make_policy;
using scheduler::uniform_cluster;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// A busy week on eight nodes of four: heavy-tailed durations, gangs of one slot to the whole
// cluster.
Trace random_trace(std::uint64_t seed, int jobs) {
    std::mt19937_64 random(seed);
    std::exponential_distribution<double> gap(1.0 / 400);
    std::lognormal_distribution<double> length(7, 1.8);
    constexpr int sizes[] = {1, 1, 1, 1, 2, 2, 3, 4, 4, 6, 8, 16, 32};
    Trace trace;
    double now = 0;
    for (int i = 0; i < jobs; ++i) {
        now += gap(random);
        const auto size =
            std::uniform_int_distribution<std::size_t>(0, std::size(sizes) - 1)(random);
        trace.jobs.push_back({.job = JobId(i + 1),
                              .submitted = seconds(static_cast<int>(now)),
                              .gpus = sizes[size],
                              .duration = seconds(1 + static_cast<int>(length(random)))});
    }
    return trace;
}

const scheduler::ClusterSpec& cluster() {
    static const auto spec = uniform_cluster(
        {.nodes = 8, .slots_per_node = 4, .nodes_per_leaf = 3, .leaves_per_block = 2});
    return spec;
}

SimResult run(const Trace& trace, std::string_view policy, const SimOptions& options = {}) {
    auto result = simulate(cluster(), trace, *make_policy(policy), options);
    EXPECT_TRUE(result) << result.error().text();
    return result ? *result : SimResult{};
}

// MPITRAIN_SEEDS raises the number for scripts/campaign simulation.
int seeds() {
    const char* text = std::getenv("MPITRAIN_SEEDS");  // NOLINT(concurrency-mt-unsafe): one thread
    return text == nullptr ? 20 : std::stoi(text);
}

class EveryPolicy : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryPolicy, KeepsItsPromisesUnderFaults) {
    for (int seed = 1; seed <= seeds(); ++seed) {
        const Trace trace = random_trace(static_cast<std::uint64_t>(seed), 150);
        SimOptions options;
        options.seed = static_cast<std::uint64_t>(seed);
        options.faults = {
            .node_mtbf = hours(20), .repair = hours(1), .checkpoint_every = minutes(10)};
        const SimResult result = run(trace, GetParam(), options);
        ASSERT_EQ(result.checker_violations, 0)
            << "seed " << seed << ": " << result.first_violation;
        ASSERT_EQ(result.jobs.size(), trace.jobs.size()) << "seed " << seed;
        ASSERT_GT(result.nodes_lost, 0) << "seed " << seed;
    }
}

TEST_P(EveryPolicy, DecidesTheSameTwice) {
    const Trace trace = random_trace(3, 300);
    EXPECT_EQ(run(trace, GetParam()).decisions_digest, run(trace, GetParam()).decisions_digest);
}

// Work is neither lost nor made: what the GPUs were busy is what the jobs needed, and the cost of
// their preemptions.
TEST_P(EveryPolicy, ConservesGpuSeconds) {
    const Trace trace = random_trace(5, 300);
    const SimResult result = run(trace, GetParam());
    double needed = 0;
    for (const JobOutcome& job : result.jobs) {
        needed += job.gpus * (job.duration_s + 60.0 * job.preemptions);
    }
    // A job of 6 slots takes two whole nodes: 8.
    double rounded = 0;
    for (const JobOutcome& job : result.jobs) {
        const int held = job.gpus <= 4 ? job.gpus : (job.gpus + 3) / 4 * 4;
        rounded += held * (job.duration_s + 60.0 * job.preemptions);
    }
    EXPECT_GE(rounded, needed);
    EXPECT_NEAR(result.busy_gpu_s, rounded, 1e-6 * rounded);
}

// No policy but an oracle, or one that is told durations, knows the future: other durations of jobs
// that are not over at a moment change no decision before it.
class NoOracle : public EveryPolicy {};
TEST_P(NoOracle, KnowsNoFuture) {
    const Trace trace = random_trace(11, 300);
    const SimResult whole = run(trace, GetParam());
    const double cut_s = whole.jobs[whole.jobs.size() / 2].ended_s;
    Trace changed = trace;
    std::size_t number = 0;
    std::map<JobId, double> ended;
    for (const JobOutcome& job : whole.jobs) {
        ended[job.job] = job.ended_s;
    }
    for (TraceJob& job : changed.jobs) {
        if (ended[job.job] > cut_s) {
            job.duration *= 3;
            ++number;
        }
    }
    ASSERT_GT(number, 50U);
    const SimResult other = run(changed, GetParam());
    std::map<JobId, JobOutcome> of_other;
    for (const JobOutcome& job : other.jobs) {
        of_other[job.job] = job;
    }
    for (const JobOutcome& job : whole.jobs) {
        if (job.ended_s <= cut_s) {
            EXPECT_EQ(of_other[job.job].ended_s, job.ended_s);
        }
        if (job.started_s <= cut_s) {
            EXPECT_EQ(of_other[job.job].started_s, job.started_s);
        }
    }
}

std::vector<std::string_view> told_no_durations() {
    std::vector<std::string_view> names;
    for (const auto& name : scheduler::policy_names()) {
        const auto policy = *make_policy(name);
        if (!policy->is_oracle() && !policy->plans()) {
            names.push_back(name);
        }
    }
    return names;
}

const auto name_of_policy = [](const auto& one) {
    std::string name(one.param);
    std::erase(name, '-');
    return name;
};

INSTANTIATE_TEST_SUITE_P(Policies,
                         EveryPolicy,
                         testing::ValuesIn(scheduler::policy_names()),
                         name_of_policy);
INSTANTIATE_TEST_SUITE_P(Policies,
                         NoOracle,
                         testing::ValuesIn(told_no_durations()),
                         name_of_policy);

TEST(Simulate, ChargesEveryPreemption) {
    Trace trace;
    trace.jobs.push_back({.job = JobId(1), .gpus = 32, .duration = hours(10)});
    trace.jobs.push_back(
        {.job = JobId(2), .submitted = hours(5), .gpus = 32, .duration = hours(1)});
    SimOptions options;
    options.preemption_cost = minutes(7);
    const SimResult result = run(trace, "default", options);
    ASSERT_EQ(result.jobs.size(), 2U);
    EXPECT_GT(result.preemptions, 0);
    double ended = 0;
    for (const JobOutcome& job : result.jobs) {
        ended = std::max(ended, job.ended_s);
    }
    EXPECT_NEAR(ended, 11 * 3600.0 + 7 * 60.0 * static_cast<double>(result.preemptions), 1);
}

// More one-slot jobs than the cluster can serve, and now and then a gang of all of it: when all
// that are overdue are alike, the overdue small ones fill every node for good.
TEST(Simulate, AGangOfTheWholeClusterGetsThroughAnOverload) {
    Trace trace;
    std::mt19937_64 random(2);
    std::exponential_distribution<double> gap(1.2 * 32 / 3600);
    std::exponential_distribution<double> length(1.0 / 3600);
    double now = 0;
    while (now < 6 * 86400) {
        now += gap(random);
        trace.jobs.push_back({.job = JobId(static_cast<int>(trace.jobs.size()) + 1),
                              .submitted = seconds(static_cast<int>(now)),
                              .duration = seconds(1 + static_cast<int>(length(random)))});
    }
    const TraceJob gang{
        .job = JobId(1'000'000), .submitted = hours(48), .gpus = 32, .duration = hours(1)};
    const auto place = std::find_if(trace.jobs.begin(), trace.jobs.end(), [&](const TraceJob& job) {
        return job.submitted > gang.submitted;
    });
    trace.jobs.insert(place, gang);
    const Report report = make_report("default", {}, run(trace, "default"));
    EXPECT_EQ(report.gang_delay.count, 1U);
    EXPECT_LE(report.gang_delay.max, 13 * 3600);  // its patience is 12 hours
}

TEST(Simulate, RejectsWhatIsLargerThanTheClusterAndGoesOn) {
    Trace trace;
    trace.jobs.push_back({.job = JobId(1), .gpus = 33, .duration = hours(1)});
    trace.jobs.push_back({.job = JobId(2), .gpus = 32, .duration = hours(1)});
    const SimResult result = run(trace, "default");
    EXPECT_EQ(result.rejected, 1);
    EXPECT_EQ(result.jobs.size(), 1U);
}

TEST(Report, PercentilesAreValuesThatOccurred) {
    const Summary summary = summarise({5, 1, 4, 2, 3});
    EXPECT_EQ(summary.p50, 3);
    EXPECT_EQ(summary.p95, 5);
    EXPECT_EQ(summary.mean, 3);
    EXPECT_EQ(summarise({}).count, 0U);
}

}  // namespace
}  // namespace mpitrain::sim
