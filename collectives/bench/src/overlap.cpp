#include "overlap.hpp"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "measure.hpp"
#include "mpitrain/collectives/gradient_reducer.hpp"

namespace mpitrain::collectives::bench {

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr std::size_t parameters = 64;

std::uint64_t thread_time_ns() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(time.tv_nsec);
}

// The share of one layer that ends at `end`. Arithmetic is counted in the thread's own processor
// time instead, so that it is the same amount of work whoever else uses the core.
void compute(Work work, Clock::time_point end, Milliseconds length) {
    if (work == Work::device) {
        std::this_thread::sleep_until(end);
        return;
    }
    const auto end_ns =
        thread_time_ns() +
        static_cast<std::uint64_t>(std::chrono::duration_cast<Nanoseconds>(length).count());
    std::atomic<std::uint64_t> counter{0};
    while (thread_time_ns() < end_ns) {
        for (int i = 0; i < 1000; ++i) {
            counter.fetch_add(1, std::memory_order_relaxed);
        }
    }
}

class Pass {
  public:
    Pass(GradientReducer& reducer, Work work) : reducer_(reducer), work_(work) {}

    // The milliseconds of one pass of this length, on the slowest rank.
    Result<double> run(Milliseconds length, bool computes, bool reduces) {
        MPI_Barrier(MPI_COMM_WORLD);
        const auto begin = Clock::now();
        const Milliseconds each = length / static_cast<double>(parameters);
        for (std::size_t p = parameters; p > 0; --p) {
            if (computes) {
                const auto done = static_cast<double>(parameters - p + 1);
                const auto end = std::chrono::duration_cast<Clock::duration>(each * done);
                compute(work_, begin + end, each);
            }
            if (reduces) {
                reducer_.ready(p - 1);
            }
        }
        if (reduces) {
            MPITRAIN_TRY_VOID(reducer_.finish());
        }
        double ms = Milliseconds(Clock::now() - begin).count();
        MPI_Allreduce(MPI_IN_PLACE, &ms, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
        return ms;
    }

  private:
    GradientReducer& reducer_;
    Work work_;
};

}  // namespace

Result<Overlap> measure_overlap(Work work, std::size_t bytes, int rounds, Communicator& ranks) {
    const std::size_t each = bytes / sizeof(float) / parameters;
    std::vector<float> memory(each * parameters, 1.0F);
    std::vector<Buffer> gradients;
    for (std::size_t p = 0; p < parameters; ++p) {
        gradients.emplace_back(&memory[p * each], each, DataType::f32);
    }
    MPITRAIN_TRY(auto reducer, GradientReducer::open(ranks, gradients));
    Pass pass(reducer, work);
    // How long a pass must be; the first runs warm the caches.
    std::vector<double> reductions;
    for (int round = 0; round < rounds; ++round) {
        MPITRAIN_TRY(const double ms, pass.run({}, false, true));
        reductions.push_back(ms);
    }
    const Milliseconds length(summarize(reductions).median);
    // In turn, so that what else the machine does disturbs all three alike.
    reductions.clear();
    std::vector<double> passes;
    std::vector<double> both;
    for (int round = 0; round < rounds; ++round) {
        MPITRAIN_TRY(const double reduce_ms, pass.run({}, false, true));
        MPITRAIN_TRY(const double compute_ms, pass.run(length, true, false));
        MPITRAIN_TRY(const double both_ms, pass.run(length, true, true));
        reductions.push_back(reduce_ms);
        passes.push_back(compute_ms);
        both.push_back(both_ms);
    }
    return Overlap{.reduce_ms = summarize(reductions).median,
                   .compute_ms = summarize(passes).median,
                   .both_ms = summarize(both).median};
}

Result<void> print_overlap(const Options& options, Communicator& ranks) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    std::string text = fmt::format(
        "{} ranks, {} bytes of gradients, medians of {} rounds\n\n{:>10} {:>10} {:>10} {:>10} "
        "{:>7}\n",
        ranks.size(),
        options.plan.bytes_max,
        options.plan.rounds,
        "work",
        "reduce ms",
        "compute ms",
        "both ms",
        "hidden");
    for (const Work work : {Work::device, Work::processor}) {
        const std::string_view name = work == Work::device ? "device" : "processor";
        MPITRAIN_TRY(const Overlap overlap,
                     measure_overlap(work, options.plan.bytes_max, options.plan.rounds, ranks));
        text += fmt::format("{:>10} {:>10.2f} {:>10.2f} {:>10.2f} {:>6.1f}%\n",
                            name,
                            overlap.reduce_ms,
                            overlap.compute_ms,
                            overlap.both_ms,
                            overlap.hidden() * 100);
        rows.push_back({{"name", "overlap"},
                        {"params",
                         {{"work", name},
                          {"ranks", ranks.size()},
                          {"bytes", options.plan.bytes_max},
                          {"reduce_ms", overlap.reduce_ms},
                          {"compute_ms", overlap.compute_ms},
                          {"both_ms", overlap.both_ms}}},
                        {"value", overlap.hidden()},
                        {"unit", "share hidden"},
                        {"baseline", nullptr},
                        {"ratio", nullptr},
                        {"n", options.plan.rounds}});
    }
    if (ranks.rank() == 0) {
        const nlohmann::ordered_json json = {
            {"schema", "mpitrain.bench/1"}, {"bench", "overlap"}, {"rows", rows}};
        fmt::print("{}", options.format == Format::json ? json.dump(2) + "\n" : text);
        std::fflush(stdout);
    }
    return {};
}

}  // namespace mpitrain::collectives::bench
