#include "launch_report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "mpitrain/cli/terminal.hpp"

namespace mpitrain::bench {
namespace {

constexpr std::string_view measured =
    "from the command's start to its exit; ours includes topology, plan, slot registry, rank "
    "agents, log files and result.json";
constexpr std::string_view excluded =
    "a first round of each, to warm caches; terminal output, which goes to /dev/null; machines "
    "other than this one; the program's own work, which is none";

using Json = nlohmann::ordered_json;

double rounded(double value, int digits) {
    const double scale = std::pow(10, digits);
    return std::round(value * scale) / scale;
}

Json json_of(const Spread& spread) {
    return {{"min", rounded(spread.min, 3)},
            {"median", rounded(spread.median, 3)},
            {"max", rounded(spread.max, 3)}};
}

Json json_of(const LaunchRow& row) {
    const PairSummary& summary = row.summary;
    Json json = {
        {"name", row.name},
        {"params", {{"ranks", row.ranks}, {"shares_cores", row.shares_cores}}},
        {"value", rounded(summary.ours_ms.median, 3)},
        {"unit", "ms"},
        {"baseline", {{"name", "mpirun"}, {"value", rounded(summary.bare_ms.median, 3)}}},
        {"ratio", rounded(summary.ratio, 4)},
        {"difference_ms", rounded(summary.difference_ms, 3)},
        {"n", row.rounds},
    };
    json.update(json_of(summary.ours_ms));
    json["baseline"].update(json_of(summary.bare_ms));
    return json;
}

std::string cpu_model() {
    std::ifstream file("/proc/cpuinfo");
    constexpr std::string_view key = "model name";
    for (std::string line; std::getline(file, line);) {
        const std::size_t colon = line.find(": ");
        if (line.starts_with(key) && colon != std::string::npos) {
            return line.substr(colon + 2);
        }
    }
    return "";
}

}  // namespace

Machine look_at_machine() {
    Machine machine;
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    machine.host = name;
    machine.cpu = cpu_model();
    machine.cpus = static_cast<int>(std::thread::hardware_concurrency());
    getloadavg(&machine.load, 1);
    return machine;
}

std::string to_table(const std::vector<LaunchRow>& rows, const Machine& machine) {
    cli::Table table(
        {"program", "ranks", "rounds", "mpirun", "mpitrain run", "ratio", "difference"});
    bool any_shares = false;
    for (const LaunchRow& row : rows) {
        any_shares = any_shares || row.shares_cores;
        table.add({row.name,
                   fmt::format("{}{}", row.ranks, row.shares_cores ? "*" : ""),
                   std::to_string(row.rounds),
                   fmt::format("{:.1f} ms", row.summary.bare_ms.median),
                   fmt::format("{:.1f} ms", row.summary.ours_ms.median),
                   fmt::format("{:.3f}", row.summary.ratio),
                   fmt::format("{:+.1f} ms", row.summary.difference_ms)});
    }
    return fmt::format(
        "{} on {} cpus ({}), load {:.2f}\n\n{}\n{}"
        "Medians; ratio and difference are medians of what each round's pair says.\n"
        "Both run under the same MCA settings. Measured: {}.\nExcluded: {}.\n",
        machine.engine,
        machine.cpus,
        machine.cpu,
        machine.load,
        table.text(),
        any_shares ? "* more ranks than cores: MPI yields when idle, on both sides.\n" : "",
        measured,
        excluded);
}

std::string to_json(const std::vector<LaunchRow>& rows, const Machine& machine) {
    Json json = {
        {"schema", "mpitrain.bench/1"},
        {"bench", "launch"},
        {"machine",
         {{"host", machine.host},
          {"cpu", machine.cpu},
          {"cpus", machine.cpus},
          {"load", rounded(machine.load, 2)},
          {"engine", machine.engine}}},
        {"measured", measured},
        {"excluded", excluded},
        {"rows", Json::array()},
    };
    for (const LaunchRow& row : rows) {
        json["rows"].push_back(json_of(row));
    }
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_quiet(const std::vector<LaunchRow>& rows) {
    std::string text;
    for (const LaunchRow& row : rows) {
        text += fmt::format("{} {} {:.3f} {:.1f}\n",
                            row.name,
                            row.ranks,
                            row.summary.ratio,
                            row.summary.difference_ms);
    }
    return text;
}

}  // namespace mpitrain::bench
