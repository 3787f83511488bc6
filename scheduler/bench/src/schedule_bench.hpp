#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/scheduler/cluster_spec.hpp"

// What the scheduling core itself costs: no journal, no network, one thread.
namespace mpitrain::bench {

struct ScheduleRow {
    std::string name;
    int gpus = 0;
    std::string what;  // the case in words
    double value = 0;
    std::string unit;
    double gate = 0;  // 0 = none
    bool higher_is_better = false;
    std::size_t n = 1;  // measurements behind the value
    double min = 0, median = 0, max = 0;

    [[nodiscard]] bool passes() const {
        return gate == 0 || (higher_is_better ? value >= gate : value <= gate);
    }
};

struct ScheduleScale {
    int gpus = 1000;
    std::int64_t pairs = 1'000'000;  // starts and finishes to measure
    int pending = 1'000'000;         // of the backlog case
};

// T1, T3: a stream of gangs of Philly's sizes at nine tenths of the cluster, under the default
// policy.
std::vector<ScheduleRow> measure_stream(const ScheduleScale& scale,
                                        double pairs_gate,
                                        double p99_gate_us);
// T4: one large gang onto a cluster of which a part is busy.
std::vector<ScheduleRow> measure_large_gang(int gpus, int nodes, double gate_ms);
// T5, T20, T21: a full cluster and a long queue; finishes, answers to "why", memory.
std::vector<ScheduleRow> measure_backlog(const ScheduleScale& scale);
// T6: EASY's plan with a queue behind it.
std::vector<ScheduleRow> measure_easy(int gpus, int pending);
// T6: the same with every one of the first 64 that wait promised a place.
std::vector<ScheduleRow> measure_conservative(int gpus, int pending);
// T7: who must go for a gang, on a cluster full of small jobs.
std::vector<ScheduleRow> measure_preemption(int nodes, int victims, double gate_ms);

// T8: six scenarios on 500 nodes of 8, after those published for another scheduler.
std::vector<ScheduleRow> measure_scenarios();
// T14: a stream of gangs of Philly's sizes on a Clos of irregular leaves; how few leaves they span.
std::vector<ScheduleRow> measure_clos(const scheduler::ClusterSpec& cluster, int gangs);
// 847 hosts of 8 GPUs in 119 leaves of 2 to 8 and three blocks, as one that was published.
scheduler::ClusterSpec irregular_clos();
// T15: the slots of a node by its links, against all other choices; pairs kept after churn.
std::vector<ScheduleRow> measure_slots();
// T20: when each of many that wait would start.
std::vector<ScheduleRow> measure_forecast(int gpus, int pending);

// Of the sorted values the one at `share`, against what it must reach.
struct Reading {
    double share = 1;
    std::string_view unit = "ms";
    double gate = 0;
};
ScheduleRow row_of(std::string name,
                   int gpus,
                   std::string what,
                   std::vector<double> values,
                   const Reading& reading);
// Gangs of the Philly trace by size, drawn by how many of each there are.
int draw_size(std::mt19937_64& random);

}  // namespace mpitrain::bench
