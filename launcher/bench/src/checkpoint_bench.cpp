#include "checkpoint_bench.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "checkpoint_report.hpp"
#include "engine_version.hpp"
#include "launch_cases.hpp"
#include "mpitrain/base/bytes.hpp"
#include "mpitrain/base/number.hpp"
#include "mpitrain/cli/beside_us.hpp"
#include "private_directory.hpp"

namespace mpitrain::bench {
namespace {

namespace fs = std::filesystem;

struct Wanted {
    std::string directory;
    std::uint64_t bytes = 0;
    int rounds = 0;
    std::vector<int> ranks;
    std::string tensors;
    std::string device;
};

Result<std::vector<int>> read_ranks(const std::string& text) {
    std::vector<int> ranks;
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');) {
        auto number = parse_integer(word, 1, 4096);
        if (!number) {
            return std::move(number).error().at("--ranks");
        }
        ranks.push_back(static_cast<int>(*number));
    }
    return ranks;
}

Result<Wanted> read_wanted(const cli::Invocation& invocation) {
    const auto value = [&](const char* option, const char* fallback) {
        const std::string given = invocation.value(option);
        return given.empty() ? std::string(fallback) : given;
    };
    Wanted wanted;
    const bool quick = invocation.is_on("quick");
    wanted.directory = value("directory", ".");
    wanted.tensors = value("tensors", "1,300,10000");
    wanted.device = value("device", "cpu");
    if (wanted.device != "cpu" && wanted.device != "cuda") {
        return Error(ErrorCode::invalid_argument, fmt::format("unknown device '{}'", wanted.device))
            .at("--device")
            .mend("it is cpu or cuda");
    }
    auto bytes = Bytes::parse(value("size", quick ? "128MiB" : "1GiB"));
    if (!bytes) {
        return std::move(bytes).error().at("--size");
    }
    wanted.bytes = bytes->count();
    auto rounds = parse_integer(value("rounds", quick ? "3" : "9"), 1, 10'000);
    if (!rounds) {
        return std::move(rounds).error().at("--rounds");
    }
    wanted.rounds = static_cast<int>(*rounds);
    MPITRAIN_TRY(wanted.ranks, read_ranks(value("ranks", "2,4")));
    return wanted;
}

Result<CheckpointRun> run_on(int ranks,
                             const Wanted& wanted,
                             const LaunchTools& tools,
                             const EnvironmentMap& environment) {
    MPITRAIN_TRY(const PrivateDirectory place, PrivateDirectory::make(wanted.directory));
    MPITRAIN_TRY(const std::string program,
                 cli::find_program_beside_us("mpitrain-bench-checkpoint"));
    const std::string samples = tools.directory + "/samples.json";
    // The ranks' helper threads share the cores with the other ranks.
    const EngineCommand command = bare_command({program,
                                                "--directory",
                                                place.path(),
                                                "--bytes",
                                                std::to_string(wanted.bytes),
                                                "--rounds",
                                                std::to_string(wanted.rounds),
                                                "--tensors",
                                                wanted.tensors,
                                                "--device",
                                                wanted.device,
                                                "--out",
                                                samples},
                                               ranks,
                                               true,
                                               tools,
                                               environment);
    TimedCommand timed{.argv = command.argv,
                       .environment = environment,
                       .out_path = "/dev/null",
                       .err_path = tools.directory + "/stderr",
                       .deadline = std::chrono::minutes(5) * (wanted.rounds + 1)};
    for (const auto& [name, text] : command.env) {
        timed.environment[name] = text;
    }
    MPITRAIN_TRY([[maybe_unused]] const double taken_ms, run_timed(timed));
    std::ifstream file(samples);
    std::ostringstream text;
    text << file.rdbuf();
    return read_checkpoint_run(text.str());
}

Result<void> bench_checkpoint(cli::Invocation& invocation) {
    MPITRAIN_TRY(const Wanted wanted, read_wanted(invocation));
    LaunchTools tools;
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
    std::vector<CheckpointRow> rows;
    for (const int ranks : wanted.ranks) {
        invocation.terminal.note(fmt::format(
            "{} ranks, {} rounds, {} each", ranks, wanted.rounds, Bytes(wanted.bytes).to_string()));
        MPITRAIN_TRY(const CheckpointRun run, run_on(ranks, wanted, tools, invocation.environment));
        std::ranges::copy(checkpoint_rows(run), std::back_inserter(rows));
    }
    const cli::Format format = invocation.terminal.format();
    invocation.terminal.print(format == cli::Format::json    ? to_json(rows, machine)
                              : format == cli::Format::quiet ? to_quiet(rows)
                                                             : to_table(rows, machine));
    return {};
}

int run_checkpoint(cli::Invocation& invocation) {
    if (!invocation.line.rest.empty()) {
        invocation.terminal.fail(Error(ErrorCode::invalid_argument,
                                       fmt::format("unexpected '{}'", invocation.line.rest[0]))
                                     .mend("see mpitrain bench checkpoint --help"));
        return 2;
    }
    const auto done = bench_checkpoint(invocation);
    if (!done) {
        invocation.terminal.fail(done.error());
        return cli::exit_code(done.error());
    }
    return 0;
}

constexpr settings::Option options[] = {
    {.name = "directory",
     .value = "DIR",
     .summary = "where to write: on the disk to be measured",
     .fallback = "."},
    {.name = "size", .value = "BYTES", .summary = "the state of all ranks", .fallback = "1GiB"},
    {.name = "ranks", .value = "N,N", .summary = "numbers of ranks", .fallback = "2,4"},
    {.name = "tensors",
     .value = "N,N",
     .summary = "into how many tensors the state is cut",
     .fallback = "1,300,10000"},
    {.name = "device",
     .value = "NAME",
     .summary = "where the state is: cpu, or cuda for the current GPU's memory",
     .fallback = "cpu"},
    {.name = "rounds",
     .value = "N",
     .summary = "how often each case is measured, after a first time",
     .fallback = "9"},
    {.name = "quick", .summary = "3 rounds of 128 MiB: a first impression, not a measurement"},
};

}  // namespace

constinit const cli::Command checkpoint_command{
    .name = "bench checkpoint",
    .summary = "how close saving and loading come to plain files",
    .usage = "[options]",
    .description =
        "Saves and loads the same bytes as checkpoints, as plain files past the page cache and "
        "through it, and by parallel HDF5, in random order, and compares them round by round.",
    .example = "mpitrain bench checkpoint --directory /scratch --output json > checkpoint.json",
    .options = options,
    .run = run_checkpoint,
};

}  // namespace mpitrain::bench
