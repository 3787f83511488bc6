#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <queue>
#include <random>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/scheduler/core.hpp"
#include "mpitrain/scheduler/forecast.hpp"
#include "schedule_bench.hpp"

namespace mpitrain::bench {
namespace {

using namespace scheduler;
using Clock = std::chrono::steady_clock;

double us_since(Clock::time_point start) {
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

ClusterSpec cluster_of(int nodes) {
    return uniform_cluster({.nodes = nodes, .nodes_per_leaf = 8, .leaves_per_block = 32});
}

Core core_of(int nodes, std::string_view policy) {
    auto core = Core::create(cluster_of(nodes), *make_policy(policy));
    MPITRAIN_ASSERT(core.has_value());
    return *std::move(core);
}

std::vector<Action> step(Core& core, Nanoseconds now, decltype(Event::what) what) {
    auto actions = core.step({now, std::move(what)});
    MPITRAIN_ASSERT(actions.has_value());
    return *std::move(actions);
}

struct End {
    Nanoseconds at;
    JobId job;
    int attempt;
    bool operator>(const End& other) const {
        return std::tie(at, job) > std::tie(other.at, other.job);
    }
};

// A host without anything behind it: jobs end when their time is over.
class Stream {
  public:
    Stream(int gpus, Core core) : core_(std::move(core)) {
        // Mean size of the mix; whole nodes count in full.
        constexpr double mean_size = 107'263.0 / 82'247;
        constexpr double mean_run_s = 1000;
        gap_s_ = mean_run_s * mean_size / (0.9 * gpus);
        run_ = std::exponential_distribution<double>(1 / mean_run_s);
    }

    // Lets `pairs` gangs start and finish. Latencies of submissions are kept where asked for.
    void run(std::int64_t pairs, std::vector<double>* latencies_us) {
        const std::int64_t until = finished_ + pairs;
        while (finished_ < until) {
            const Nanoseconds next = std::min(submit_at_, wake_);
            if (!ends_.empty() && ends_.top().at <= next) {
                const End end = ends_.top();
                ends_.pop();
                const auto live = static_cast<std::size_t>(end.job.value());
                if (attempts_[live] == end.attempt) {
                    ++finished_;
                    attempts_[live] = 0;
                    follow(end.at, Ended{end.job, end.attempt, false});
                }
            } else if (wake_ <= submit_at_) {
                follow(std::exchange(wake_, never), Tick{});
            } else {
                submit(latencies_us);
            }
        }
    }

  private:
    void submit(std::vector<double>* latencies_us) {
        const JobId job(static_cast<std::int64_t>(attempts_.size()));
        const double run_s = run_(random_);
        left_.emplace_back(static_cast<std::int64_t>(run_s * 1e9));
        attempts_.push_back(0);
        GangRequest request{.job = job, .shape = {.slots = draw_size(random_)}};
        const Nanoseconds now = submit_at_;
        std::exponential_distribution<double> gap(1 / gap_s_);
        submit_at_ += Nanoseconds(static_cast<std::int64_t>(gap(random_) * 1e9) + 1);
        if (latencies_us == nullptr) {
            follow(now, Submitted{std::move(request)});
            return;
        }
        const auto start = Clock::now();
        auto actions = step(core_, now, Submitted{std::move(request)});
        latencies_us->push_back(us_since(start));
        obey(now, std::move(actions));
    }

    void follow(Nanoseconds now, decltype(Event::what) what) {
        obey(now, step(core_, now, std::move(what)));
    }

    void obey(Nanoseconds now, std::vector<Action> actions) {
        for (std::size_t i = 0; i < actions.size(); ++i) {
            const Action action = std::move(actions[i]);
            if (const auto* start = std::get_if<Start>(&action)) {
                const auto job = static_cast<std::size_t>(start->job.value());
                attempts_[job] = start->attempt;
                ends_.push({now + left_[job], start->job, start->attempt});
            } else if (const auto* stop = std::get_if<Stop>(&action)) {
                attempts_[static_cast<std::size_t>(stop->job.value())] = 0;
                auto more = step(core_, now, Ended{stop->job, stop->attempt, true});
                actions.insert(actions.end(), more.begin(), more.end());
            } else if (const auto* wake = std::get_if<WakeAt>(&action)) {
                wake_ = wake->at;
            }
        }
    }

    Core core_;
    std::mt19937_64 random_{7};
    std::exponential_distribution<double> run_;
    double gap_s_ = 1;
    std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
    std::vector<int> attempts_;  // by job; 0 = not running
    std::vector<Nanoseconds> left_;
    Nanoseconds submit_at_{};
    Nanoseconds wake_ = never;
    std::int64_t finished_ = 0;
};

// Fills the cluster with one-slot jobs, which have then run for `age`.
void fill(Core& core, int slots, Nanoseconds age) {
    for (int i = 0; i < slots; ++i) {
        step(core, Nanoseconds{}, Submitted{{.job = JobId(i)}});
    }
    for (Nanoseconds now = std::chrono::minutes(1); now <= age; now *= 2) {
        step(core, now, Tick{});
    }
    step(core, age, Tick{});
}

double resident_mib() {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("VmRSS:")) {
            return std::stod(line.substr(6)) / 1024;
        }
    }
    return 0;
}

}  // namespace

int draw_size(std::mt19937_64& random) {
    constexpr std::pair<int, int> sizes[] = {{1, 76627},
                                             {2, 1818},
                                             {4, 1870},
                                             {8, 1643},
                                             {12, 7},
                                             {16, 199},
                                             {24, 7},
                                             {32, 67},
                                             {64, 6},
                                             {128, 3}};
    int left = static_cast<int>(random() % 82247);
    for (const auto& [size, count] : sizes) {
        if ((left -= count) < 0) {
            return size;
        }
    }
    return 1;
}

ScheduleRow row_of(std::string name,
                   int gpus,
                   std::string what,
                   std::vector<double> values,
                   const Reading& reading) {
    std::sort(values.begin(), values.end());
    const auto at = [&](double part) {
        const auto rank = std::ceil(part * static_cast<double>(values.size()));
        return values[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
    };
    return {.name = std::move(name),
            .gpus = gpus,
            .what = std::move(what),
            .value = at(reading.share),
            .unit = std::string(reading.unit),
            .gate = reading.gate,
            .n = values.size(),
            .min = values.front(),
            .median = at(0.5),
            .max = values.back()};
}

std::vector<ScheduleRow> measure_stream(const ScheduleScale& scale,
                                        double pairs_gate,
                                        double p99_gate_us) {
    const int nodes = scale.gpus / 8;
    Stream stream(nodes * 8, core_of(nodes, "default"));
    stream.run(std::max<std::int64_t>(std::int64_t{2} * scale.gpus, 100'000),
               nullptr);  // until it is full
    std::vector<double> rates;
    for (int round = 0; round < 5; ++round) {
        const auto start = Clock::now();
        stream.run(scale.pairs / 5, nullptr);
        rates.push_back(static_cast<double>(scale.pairs) / 5 / us_since(start) * 1e6);
    }
    ScheduleRow pairs = row_of("T1",
                               nodes * 8,
                               "gangs started and finished, load 0.9",
                               rates,
                               {0.5, "pairs/s", pairs_gate});
    pairs.higher_is_better = true;
    std::vector<double> latencies;
    stream.run(scale.pairs / 5, &latencies);
    return {
        pairs,
        row_of("T3 p50", nodes * 8, "submission to decision", latencies, {0.5, "us", 0}),
        row_of(
            "T3 p99", nodes * 8, "submission to decision", latencies, {0.99, "us", p99_gate_us})};
}

std::vector<ScheduleRow> measure_large_gang(int gpus, int nodes, double gate_ms) {
    std::vector<double> times;
    Core core = core_of(gpus / 8, "default");
    // One node in five is in use, at random places: every fifth job of a full cluster stays.
    std::mt19937_64 random(3);
    const int whole = gpus / 8;
    for (int i = 0; i < whole; ++i) {
        step(core, Nanoseconds{}, Submitted{{.job = JobId(i), .shape = {.slots = 8}}});
    }
    for (int i = 0; i < whole; ++i) {
        if (random() % 5 != 0) {
            step(core, Nanoseconds{}, Ended{JobId(i), 1, false});
        }
    }
    for (int round = 0; round < 15; ++round) {
        const JobId job(whole + round);
        const auto start = Clock::now();
        const auto actions =
            step(core, Nanoseconds{}, Submitted{{.job = job, .shape = {.slots = nodes * 8}}});
        times.push_back(us_since(start) / 1000);
        MPITRAIN_ASSERT(!actions.empty() && std::holds_alternative<Start>(actions[0]));
        step(core, Nanoseconds{}, Ended{job, 1, false});
    }
    return {
        row_of("T4", gpus, fmt::format("one gang of {} nodes", nodes), times, {1, "ms", gate_ms})};
}

std::vector<ScheduleRow> measure_backlog(const ScheduleScale& scale) {
    const int nodes = scale.gpus / 8;
    Core core = core_of(nodes, "default");
    fill(core, nodes * 8, std::chrono::seconds(1));
    std::mt19937_64 random(5);
    const int first = nodes * 8;
    for (int i = 0; i < scale.pending; ++i) {
        step(core,
             std::chrono::seconds(1),
             Submitted{{.job = JobId(first + i), .shape = {.slots = draw_size(random)}}});
    }
    const double memory = resident_mib();
    std::vector<double> finishes;
    std::vector<double> answers;
    int skipped = 0;
    for (int i = 0; i < std::min(2000, first); ++i) {
        const auto start = Clock::now();
        const auto actions = step(core, std::chrono::seconds(2), Ended{JobId(i), 1, false});
        finishes.push_back(us_since(start) / 1000);
        skipped += std::none_of(actions.begin(), actions.end(), [](const Action& action) {
            return std::holds_alternative<Start>(action);
        });
    }
    MPITRAIN_ASSERT(skipped == 0);  // one-slot jobs wait, so every free slot has a taker
    for (int i = 0; i < 2000; ++i) {
        const JobId job(first + static_cast<int>(random() % static_cast<unsigned>(scale.pending)));
        const auto start = Clock::now();
        static_cast<void>(core.explain(job));
        answers.push_back(us_since(start) / 1000);
    }
    const std::string what = fmt::format("{} jobs pending, {} running", scale.pending, first);
    ScheduleRow rss = row_of("T21", first, "resident memory, " + what, {memory}, {1, "MiB", 2048});
    return {row_of("T5 p99", first, "finish to next start, " + what, finishes, {0.99, "ms", 5}),
            row_of("T20 p99", first, "why a job waits, " + what, answers, {0.99, "ms", 1}),
            rss};
}

namespace {

// A full cluster of one-slot jobs, a first in the queue that needs half of it, so that the plan
// goes far, and more behind it.
Core planned(int gpus, int pending, std::string_view policy) {
    Core core = core_of(gpus / 8, policy);
    std::mt19937_64 random(9);
    const auto estimate = [&random] {
        return std::chrono::seconds(600 + static_cast<int>(random() % 90000));
    };
    for (int i = 0; i < gpus; ++i) {
        step(core, Nanoseconds{}, Submitted{{.job = JobId(i), .estimate = estimate()}});
    }
    step(core,
         Nanoseconds{},
         Submitted{{.job = JobId(gpus), .shape = {.slots = gpus / 2}, .estimate = estimate()}});
    for (int i = 1; i < pending; ++i) {
        step(core,
             Nanoseconds{},
             Submitted{{.job = JobId(gpus + i),
                        .shape = {.slots = draw_size(random)},
                        .estimate = estimate()}});
    }
    return core;
}

// What a finish costs, with the plan made anew.
std::vector<double> time_finishes(Core& core) {
    std::vector<double> times;
    for (int i = 0; i < 30; ++i) {
        const auto start = Clock::now();
        step(core, std::chrono::seconds(1), Ended{JobId(i), 1, false});
        times.push_back(us_since(start) / 1000);
    }
    return times;
}

}  // namespace

std::vector<ScheduleRow> measure_easy(int gpus, int pending) {
    Core core = planned(gpus, pending, "easy");
    return {row_of("T6",
                   gpus,
                   fmt::format("EASY plan and backfill, one reservation, {} pending", pending),
                   time_finishes(core),
                   {1, "ms", 200})};
}

std::vector<ScheduleRow> measure_conservative(int gpus, int pending) {
    Core core = planned(gpus, pending, "conservative");
    auto finishes = time_finishes(core);
    std::vector<double> submissions;
    for (int i = 0; i < 200; ++i) {
        const auto start = Clock::now();
        step(core,
             std::chrono::seconds(1),
             Submitted{{.job = JobId(std::int64_t{2} * gpus + pending + i),
                        .shape = {.slots = 8},
                        .estimate = std::chrono::hours(1)}});
        submissions.push_back(us_since(start) / 1000);
    }
    return {row_of("T6",
                   gpus,
                   fmt::format("conservative plan, 64 reservations, {} pending", pending),
                   finishes,
                   {1, "ms", 200}),
            row_of("T6", gpus, "one more submission into that plan", submissions, {1, "ms", 1})};
}

std::vector<ScheduleRow> measure_forecast(int gpus, int pending) {
    Core core = planned(gpus, pending, "default");
    std::vector<double> times;
    for (int i = 0; i < 5; ++i) {
        const auto start = Clock::now();
        const auto starts = forecast(core);
        times.push_back(us_since(start) / 1000 / static_cast<double>(pending));
        MPITRAIN_ASSERT(starts.size() == static_cast<std::size_t>(pending));
    }
    std::vector<double> answers;
    for (int i = 0; i < 200; ++i) {
        const auto start = Clock::now();
        static_cast<void>(core.earliest_start(JobId(gpus + i)));
        answers.push_back(us_since(start) / 1000);
    }
    return {row_of("T20",
                   gpus,
                   fmt::format("expected start, for each of {} pending (all in one run)", pending),
                   times,
                   {1, "ms", 1}),
            row_of("T20 p99", gpus, "earliest start, were it the next", answers, {0.99, "ms", 1})};
}

std::vector<ScheduleRow> measure_preemption(int nodes, int victims, double gate_ms) {
    std::vector<double> times;
    for (int round = 0; round < 3; ++round) {
        Core core = core_of(nodes, "default");
        fill(core, nodes * 8, std::chrono::hours(30));
        const auto start = Clock::now();
        const auto actions =
            step(core,
                 std::chrono::hours(30),
                 Submitted{{.job = JobId(std::int64_t{8} * nodes), .shape = {.slots = victims}}});
        times.push_back(us_since(start) / 1000);
        const auto stops = std::count_if(actions.begin(), actions.end(), [](const Action& action) {
            return std::holds_alternative<Stop>(action);
        });
        MPITRAIN_ASSERT(stops == victims);
    }
    return {row_of("T7",
                   nodes * 8,
                   fmt::format("preempt {} jobs on {} nodes for one gang", victims, nodes),
                   times,
                   {1, "ms", gate_ms})};
}

}  // namespace mpitrain::bench
