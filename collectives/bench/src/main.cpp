// mpitrain-bench-collectives VERB [options]: the ranks that `mpitrain bench allreduce` starts.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdio>

#include "algorithms.hpp"
#include "options.hpp"
#include "overlap.hpp"
#include "preflight.hpp"
#include "repeat.hpp"
#include "report.hpp"
#include "verify.hpp"

namespace mpitrain::collectives::bench {
namespace {

constexpr Nanoseconds preflight_deadline = std::chrono::seconds(20);  // of each call

std::string library_version() {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0;
    MPI_Get_library_version(text.data(), &length);
    const std::string all(text.data(), static_cast<std::size_t>(length));
    return all.substr(0, all.find(','));
}

void print(const Report& report, Format format) {
    const std::string text = format == Format::json    ? to_json(report)
                             : format == Format::quiet ? to_quiet(report)
                                                       : to_table(report);
    fmt::print("{}", text);
    std::fflush(stdout);
}

std::size_t wrong_of(const Row& row) {
    return row.apart.wrong + (row.in_place ? row.in_place->wrong : 0);
}

// Gives the number of wrong elements.
Result<std::size_t> bench_sizes(const Options& options, Communicator& ranks) {
    Report report{
        .plan = options.plan, .ranks = ranks.size(), .library = library_version(), .rows = {}};
    std::vector<Algorithm> algorithms;
    if (options.plan.compare) {
        algorithms = find_algorithms(options.plan.verb);
    }
    std::size_t wrong = 0;
    for (std::size_t bytes = options.plan.bytes_min; bytes <= options.plan.bytes_max;
         bytes *= options.plan.factor) {
        MPITRAIN_TRY(const Row row, measure(options.plan, bytes, algorithms, ranks));
        wrong += wrong_of(row);
        report.rows.push_back(row);
    }
    if (ranks.rank() == 0) {
        print(report, options.format);
    }
    return wrong;
}

Result<std::size_t> run(const Options& options) {
    allow_choice();
    MPITRAIN_TRY(auto environment, Environment::open());
    std::size_t wrong = 0;
    {
        MPITRAIN_TRY(auto ranks,
                     Communicator::world(environment,
                                         {.deadline = options.preflight ? preflight_deadline
                                                                        : std::chrono::minutes(10),
                                          .shared_memory = options.shared_memory}));
        if (options.verify) {
            std::size_t checks = 0;
            MPITRAIN_TRY(wrong, verify_everything(ranks, options.huge, checks));
            if (ranks.rank() == 0) {
                fmt::print(
                    "{} calls on {} ranks, {} wrong elements\n", checks, ranks.size(), wrong);
            }
        } else if (options.repeat) {
            MPITRAIN_TRY(const Repeated done,
                         repeat_with_delays(options.plan.rounds, options.shared_memory, ranks));
            wrong = static_cast<std::size_t>(done.others);
            if (ranks.rank() == 0) {
                fmt::print("{} runs on {} ranks, {} with other bits, digest {:016x}\n",
                           done.runs,
                           ranks.size(),
                           done.others,
                           done.digest);
            }
        } else if (options.preflight) {
            MPITRAIN_TRY(wrong, preflight(options, ranks));
        } else if (options.overlap) {
            MPITRAIN_TRY_VOID(print_overlap(options, ranks));
        } else {
            MPITRAIN_TRY(wrong, bench_sizes(options, ranks));
        }
    }
    MPITRAIN_TRY_VOID(environment.close());
    return wrong;
}

int failed(const Error& error, int exit_code) {
    fmt::print(stderr, "mpitrain: error: {}\n", error.text());
    return exit_code;
}

}  // namespace
}  // namespace mpitrain::collectives::bench

int main(int argc, char** argv) {
    using namespace mpitrain::collectives::bench;
    std::string help;
    const auto options = parse_options(argc, argv, help);
    if (!options) {
        return failed(options.error(), 2);
    }
    if (!*options) {
        fmt::print("{}", help);
        return 0;
    }
    const auto wrong = run(**options);
    if (!wrong) {
        return failed(wrong.error(), 125);
    }
    return *wrong == 0 ? 0 : 1;
}
