#include "schedule_command.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "mpitrain/sim/cluster_file.hpp"
#include "mpitrain/sim/text_input.hpp"
#include "schedule_bench.hpp"

namespace mpitrain::bench {
namespace {

constexpr settings::Option schedule_options[] = {
    {.name = "case",
     .value = "NAME",
     .summary = "only T1 (and T3), T4, T5 (and T20, T21), T6, T7, T8, T14, T15 or T20"},
    {.name = "clos",
     .value = "FILE",
     .summary = "the cluster of T14, as for mpitrain sim; else a made-up one of the same shape",
     .completes = settings::Completes::file},
    {.name = "quick", .summary = "a tenth of the work, as a smoke test"},
};

struct Wanted {
    bool quick = false;
    std::string only;
    scheduler::ClusterSpec clos;
};

std::vector<ScheduleRow> measure_all(cli::Terminal& terminal, const Wanted& asked) {
    const auto& [quick, only, clos] = asked;
    std::vector<ScheduleRow> rows;
    const auto add = [&](std::vector<ScheduleRow> more) {
        for (ScheduleRow& row : more) {
            terminal.note(
                fmt::format("{} at {} GPUs: {:.4g} {}", row.name, row.gpus, row.value, row.unit));
            rows.push_back(std::move(row));
        }
    };
    const auto wanted = [&asked](std::string_view name) {
        return asked.only.empty() || asked.only == name;
    };
    const std::int64_t pairs = quick ? 100'000 : 1'000'000;
    if (wanted("T1")) {
        add(measure_stream({.gpus = 1'000, .pairs = pairs}, 200'000, 200));
        add(measure_stream({.gpus = 10'000, .pairs = pairs}, 150'000, 200));
        add(measure_stream({.gpus = 100'000, .pairs = pairs}, 100'000, 1000));
    }
    if (wanted("T4")) {
        add(measure_large_gang(10'000, 512, 1));
        add(measure_large_gang(100'000, 512, 1));
        add(measure_large_gang(100'000, 4096, 10));
    }
    if (wanted("T5")) {
        add(measure_backlog(
            {.gpus = quick ? 10'000 : 100'000, .pending = quick ? 100'000 : 1'000'000}));
    }
    if (wanted("T6")) {
        add(measure_easy(100'000, 10'000));
        add(measure_conservative(100'000, 10'000));
    }
    if (wanted("T7")) {
        add(measure_preemption(2'000, 704, 10));
        add(measure_preemption(12'500, 10'000, 100));
    }
    if (wanted("T8")) {
        add(measure_scenarios());
    }
    if (wanted("T14")) {
        add(measure_clos(clos, quick ? 20'000 : 200'000));
    }
    if (wanted("T15")) {
        add(measure_slots());
    }
    if (wanted("T20")) {
        add(measure_forecast(quick ? 10'000 : 100'000, quick ? 1'000 : 10'000));
    }
    return rows;
}

std::string to_table(const std::vector<ScheduleRow>& rows) {
    cli::Table table({"CASE", "GPUS", "WHAT", "VALUE", "UNIT", "GATE", "MEDIAN", "MAX", "N", ""});
    for (const ScheduleRow& row : rows) {
        table.add({row.name,
                   fmt::format("{}", row.gpus),
                   row.what,
                   fmt::format("{:.4g}", row.value),
                   row.unit,
                   row.gate > 0
                       ? fmt::format("{}{:.4g}", row.higher_is_better ? ">=" : "<=", row.gate)
                       : "",
                   fmt::format("{:.4g}", row.median),
                   fmt::format("{:.4g}", row.max),
                   fmt::format("{}", row.n),
                   row.gate > 0 ? (row.passes() ? "ok" : "MISSED") : ""});
    }
    return table.text();
}

std::string to_json(const std::vector<ScheduleRow>& rows) {
    nlohmann::ordered_json json = {{"schema", "mpitrain.bench/1"},
                                   {"bench", "schedule"},
                                   {"machine", {{"cpus", std::thread::hardware_concurrency()}}},
                                   {"rows", nlohmann::json::array()}};
    for (const ScheduleRow& row : rows) {
        json["rows"].push_back({{"name", row.name},
                                {"params", {{"gpus", row.gpus}, {"case", row.what}}},
                                {"value", row.value},
                                {"unit", row.unit},
                                {"baseline", nullptr},
                                {"ratio", nullptr},
                                {"gate", row.gate > 0 ? nlohmann::json(row.gate) : nullptr},
                                {"passes", row.passes()},
                                {"n", row.n},
                                {"min", row.min},
                                {"median", row.median},
                                {"max", row.max}});
    }
    return json.dump() + "\n";
}

Result<scheduler::ClusterSpec> clos_of(const std::string& path) {
    if (path.empty()) {
        return irregular_clos();
    }
    MPITRAIN_TRY(const std::string text, sim::read_text(path));
    return sim::read_cluster(text, path, {.gpus_per_node = 8});
}

int run(cli::Invocation& invocation) {
    auto clos = clos_of(invocation.value("clos"));
    if (!clos) {
        return cli::fail(invocation.terminal, clos.error());
    }
    const auto rows =
        measure_all(invocation.terminal,
                    {invocation.is_on("quick"), invocation.value("case"), *std::move(clos)});
    if (invocation.terminal.format() == cli::Format::json) {
        invocation.terminal.print(to_json(rows));
    } else if (invocation.terminal.format() == cli::Format::table) {
        invocation.terminal.print(to_table(rows));
    }
    if (auto closed = invocation.terminal.close(); !closed) {
        return cli::fail(invocation.terminal, closed.error());
    }
    return 0;
}

}  // namespace

constinit const cli::Command schedule_command{
    .name = "bench schedule",
    .summary = "what the scheduling core's decisions cost, at 1,000 to 100,000 GPUs",
    .usage = "[options]",
    .description =
        "Drives the scheduling core with made-up load, without journal or network, and compares "
        "with the gates of the design. Takes two minutes, and 2 GiB of memory.",
    .example = "mpitrain bench schedule --output json",
    .options = schedule_options,
    .run = run,
};

}  // namespace mpitrain::bench
