#include "measure.hpp"

#include <algorithm>
#include <limits>

namespace mpitrain::collectives::bench {

namespace {

constexpr std::size_t bytes_per_round = std::size_t{64} << 20;
constexpr std::size_t calls_max = 1000;
constexpr std::size_t calls_min = 2;

// The microseconds of one call, as the slowest rank sees it, over `calls` in a row.
template <typename Call>
Result<double> time_calls(std::size_t calls, const Call& call) {
    MPI_Barrier(MPI_COMM_WORLD);
    const double begin = MPI_Wtime();
    for (std::size_t i = 0; i < calls; ++i) {
        MPITRAIN_TRY_VOID(call());
    }
    double each = (MPI_Wtime() - begin) / static_cast<double>(calls) * 1e6;
    MPI_Allreduce(MPI_IN_PLACE, &each, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return each;
}

Result<double> time_mpi(Case& one, bool in_place, std::size_t calls, MPI_Comm comm) {
    return time_calls(calls, [&]() -> Result<void> {
        if (one.mpi(in_place, comm) != MPI_SUCCESS) {
            return Error(ErrorCode::unavailable, "MPI's own collective failed");
        }
        return {};
    });
}

// Some algorithms are for certain numbers of ranks alone, and say so on every rank.
bool all_can(Case& one, bool in_place, MPI_Comm comm) {
    int able = one.mpi(in_place, comm) == MPI_SUCCESS ? 1 : 0;
    MPI_Allreduce(MPI_IN_PLACE, &able, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return able != 0;
}

Result<const Algorithm*> find_best(Case& one,
                                   bool in_place,
                                   std::size_t calls,
                                   std::span<const Algorithm> algorithms) {
    const Algorithm* best = &algorithms[0];
    double best_us = std::numeric_limits<double>::max();
    const std::size_t tries = std::max(calls_min, calls / 4);
    for (const Algorithm& algorithm : algorithms) {
        if (!all_can(one, in_place, algorithm.comm)) {
            continue;
        }
        double shortest_us = best_us;
        for (int round = 0; round < 3; ++round) {
            MPITRAIN_TRY(const double us, time_mpi(one, in_place, tries, algorithm.comm));
            shortest_us = std::min(shortest_us, us);
        }
        if (shortest_us < best_us) {
            best_us = shortest_us;
            best = &algorithm;
        }
    }
    return best;
}

Result<std::size_t> count_wrong(Case& one, bool in_place) {
    one.prepare(in_place);
    MPITRAIN_TRY_VOID(one.ours(in_place));
    std::uint64_t wrong = one.wrong(in_place);
    MPI_Allreduce(MPI_IN_PLACE, &wrong, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    return static_cast<std::size_t>(wrong);
}

Result<Way> measure_way(const Plan& plan,
                        Case& one,
                        bool in_place,
                        std::size_t calls,
                        std::span<const Algorithm> algorithms) {
    Way way;
    MPITRAIN_TRY(way.wrong, count_wrong(one, in_place));
    const bool compares = plan.compare && one.mpi_can();
    const Algorithm* best = nullptr;
    if (compares) {
        MPITRAIN_TRY(best, find_best(one, in_place, calls, algorithms));
    }
    std::vector<double> ours;
    std::vector<double> theirs;
    for (int round = 0; round <= plan.rounds; ++round) {
        MPITRAIN_TRY(const double us, time_calls(calls, [&]() { return one.ours(in_place); }));
        double baseline_us = 0;
        if (compares) {
            MPITRAIN_TRY(baseline_us, time_mpi(one, in_place, calls, best->comm));
        }
        if (round > 0) {  // the first one warms caches
            ours.push_back(us);
            theirs.push_back(baseline_us);
        }
    }
    way.times = summarize(ours);
    if (compares) {
        way.baseline = Baseline{.algorithm = best->name, .times = summarize(theirs)};
    }
    return way;
}

}  // namespace

Times summarize(std::vector<double> samples) {
    std::sort(samples.begin(), samples.end());
    const std::size_t middle = samples.size() / 2;
    const double median =
        samples.size() % 2 != 0 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
    return {.min = samples.front(), .median = median, .max = samples.back()};
}

Result<Row> measure(const Plan& plan,
                    std::size_t bytes,
                    std::span<const Algorithm> algorithms,
                    Communicator& ranks) {
    Case one(plan.verb, bytes, plan.type, plan.op, ranks);
    const std::size_t calls =
        std::clamp(bytes_per_round / std::max<std::size_t>(bytes, 1), calls_min, calls_max);
    Row row{.bytes = one.count() * size_bytes(plan.type),
            .count = one.count(),
            .apart = {},
            .in_place = {}};
    MPITRAIN_TRY(row.apart, measure_way(plan, one, false, calls, algorithms));
    if (one.can_be_in_place()) {
        MPITRAIN_TRY(row.in_place, measure_way(plan, one, true, calls, algorithms));
    }
    return row;
}

}  // namespace mpitrain::collectives::bench
