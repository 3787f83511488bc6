#include "launch_bench.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "engine_version.hpp"
#include "launch_cases.hpp"
#include "launch_report.hpp"
#include "mpitrain/base/number.hpp"
#include "mpitrain/cli/beside_us.hpp"
#include "private_directory.hpp"

namespace mpitrain::bench {
namespace {

namespace fs = std::filesystem;

constexpr int rounds_usual = 15;
constexpr int rounds_quick = 3;
constexpr int rounds_max = 10'000;

Result<int> rounds_of(const cli::Invocation& invocation) {
    const std::string given = invocation.value("rounds");
    if (given.empty()) {
        return invocation.is_on("quick") ? rounds_quick : rounds_usual;
    }
    auto rounds = parse_integer(given, 1, rounds_max);
    if (!rounds) {
        return std::move(rounds).error().at("--rounds");
    }
    return static_cast<int>(*rounds);
}

Result<LaunchRow> measure(const LaunchCase& one, int rounds) {
    std::vector<Pair> pairs;
    for (int round = 0; round <= rounds; ++round) {
        Pair pair;
        MPITRAIN_TRY(pair.bare_ms, run_timed(one.bare));
        MPITRAIN_TRY(pair.ours_ms, run_timed(one.ours));
        if (round > 0) {  // the first one warms caches
            pairs.push_back(pair);
        }
    }
    return LaunchRow{.name = one.name,
                     .ranks = one.ranks,
                     .shares_cores = one.shares_cores,
                     .rounds = rounds,
                     .summary = summarize(pairs)};
}

Result<void> bench_launch(cli::Invocation& invocation) {
    MPITRAIN_TRY(const int rounds, rounds_of(invocation));
    LaunchTools tools;
    MPITRAIN_TRY(tools.mpitrain, cli::find_program_beside_us("mpitrain"));
    MPITRAIN_TRY(tools.hello, cli::find_program_beside_us("mpitrain-bench-hello"));
    MPITRAIN_TRY(const PrivateDirectory directory,
                 PrivateDirectory::make(fs::temp_directory_path().string()));
    const bool has_shm = access("/dev/shm", W_OK) == 0;
    MPITRAIN_TRY(const PrivateDirectory shared_memory,
                 PrivateDirectory::make(has_shm ? "/dev/shm" : directory.path()));
    tools.directory = directory.path();
    tools.shared_memory_dir = shared_memory.path();
    tools.as_root = geteuid() == 0;

    Machine machine = look_at_machine();
    MPITRAIN_TRY(machine.engine, engine_version(tools, invocation.environment));
    MPITRAIN_TRY(const auto cases, make_launch_cases(tools, invocation.environment));
    std::vector<LaunchRow> rows;
    for (const LaunchCase& one : cases) {
        invocation.terminal.note(
            fmt::format("{} with {} ranks, {} rounds", one.name, one.ranks, rounds));
        MPITRAIN_TRY(rows.emplace_back(), measure(one, rounds));
    }
    const cli::Format format = invocation.terminal.format();
    invocation.terminal.print(format == cli::Format::json    ? to_json(rows, machine)
                              : format == cli::Format::quiet ? to_quiet(rows)
                                                             : to_table(rows, machine));
    return {};
}

int run_launch(cli::Invocation& invocation) {
    if (!invocation.line.rest.empty()) {
        invocation.terminal.fail(Error(ErrorCode::invalid_argument,
                                       fmt::format("unexpected '{}'", invocation.line.rest[0]))
                                     .mend("see mpitrain bench launch --help"));
        return 2;
    }
    const auto done = bench_launch(invocation);
    if (!done) {
        invocation.terminal.fail(done.error());
        return cli::exit_code(done.error());
    }
    return 0;
}

constexpr settings::Option options[] = {
    {.name = "rounds",
     .value = "N",
     .summary = "how often each pair is measured",
     .fallback = "15"},
    {.name = "quick", .summary = "3 rounds: a first impression, not a measurement"},
};

}  // namespace

constinit const cli::Command launch_command{
    .name = "bench launch",
    .summary = "what mpitrain run adds to the time that bare mpirun takes",
    .usage = "[options]",
    .description =
        "Starts /bin/true and an MPI hello with bare mpirun and with 'mpitrain run', in turn, "
        "under the same MCA settings, and compares how long each takes from start to exit.",
    .example = "mpitrain bench launch --rounds 31 --output json > launch.json",
    .options = options,
    .run = run_launch,
};

}  // namespace mpitrain::bench
