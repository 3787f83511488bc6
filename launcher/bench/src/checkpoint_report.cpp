#include "checkpoint_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "mpitrain/cli/terminal.hpp"

namespace mpitrain::bench {
namespace {

using Json = nlohmann::ordered_json;

// Which plain cases limit a case: the fastest of them in each round.
struct Comparison {
    std::string_view name;
    std::string_view limit;
    std::vector<std::string_view> plain;
};

const std::vector<Comparison>& comparisons() {
    static const std::vector<std::string_view> written = {"direct", "buffered"};
    static const std::vector<std::string_view> read = {"read-direct", "read-buffered"};
    static const std::vector<Comparison> all = {
        {"direct", "", {}},
        {"buffered", "plain write", written},
        {"direct-again", "direct", {"direct"}},
        {"save", "plain write", written},
        {"save-single", "plain write", written},
        {"save-few-writers", "plain write", written},
        {"parallel-hdf5", "plain write", written},
        {"read-direct", "", {}},
        {"read-buffered", "plain read", read},
        {"load", "plain read", read},
        {"load-single", "plain read", read},
        {"load-more", "plain read", read},
        {"load-columns", "plain read", read},
        {"read-direct-few", "", {}},
        {"load-few", "plain read by as many", {"read-direct-few"}},
        {"copy", "", {}},
        {"async-stall", "copy in memory", {"copy"}},
        {"async-whole", "plain write", written},
        {"steps-alone", "", {}},
        {"steps-while-saving", "steps alone", {"steps-alone"}},
    };
    return all;
}

// The sample of this name that is of as many tensors, or else of any number.
const CheckpointSample* find(const CheckpointRun& run,
                             std::string_view name,
                             std::uint64_t tensors) {
    const CheckpointSample* found = nullptr;
    for (const CheckpointSample& sample : run.samples) {
        if (sample.name == name && (found == nullptr || sample.tensors == tensors)) {
            found = &sample;
        }
    }
    return found;
}

double speed(const CheckpointSample& sample, std::size_t round) {
    return static_cast<double>(sample.bytes) / sample.seconds[round];
}

CheckpointRow row_of(const CheckpointRun& run,
                     const Comparison& comparison,
                     const CheckpointSample& sample) {
    CheckpointRow row{.name = sample.name,
                      .tensors = sample.tensors,
                      .ranks = run.ranks,
                      .rounds = static_cast<int>(sample.seconds.size()),
                      .bytes = sample.bytes,
                      .seconds = spread_of(sample.seconds),
                      .limit = ""};
    std::vector<double> ratios;
    std::vector<double> limits;
    for (std::size_t round = 0; round < sample.seconds.size(); ++round) {
        double limit = 0;
        for (const std::string_view plain : comparison.plain) {
            const CheckpointSample* other = find(run, plain, sample.tensors);
            if (other != nullptr && round < other->seconds.size()) {
                limit = std::max(limit, speed(*other, round));
            }
        }
        if (limit > 0) {
            ratios.push_back(speed(sample, round) / limit);
            limits.push_back(static_cast<double>(sample.bytes) / limit);
        }
    }
    if (!ratios.empty()) {
        row.limit = comparison.limit;
        row.ratio = spread_of(ratios).median;
        row.limit_seconds = spread_of(limits).median;
    }
    return row;
}

double rounded(double value) {
    return std::round(value * 1e4) / 1e4;
}

double gib_per_second(const CheckpointRow& row) {
    return static_cast<double>(row.bytes) / row.seconds.median / (1 << 30);
}

Json json_of(const CheckpointRow& row) {
    Json json = {
        {"name", row.name},
        {"params", {{"ranks", row.ranks}, {"tensors", row.tensors}, {"bytes", row.bytes}}},
        {"value", rounded(row.seconds.median)},
        {"unit", "s"},
        {"baseline", nullptr},
        {"ratio", nullptr},
        {"n", row.rounds},
        {"min", rounded(row.seconds.min)},
        {"median", rounded(row.seconds.median)},
        {"max", rounded(row.seconds.max)},
    };
    if (!row.limit.empty()) {
        json["baseline"] = {{"name", row.limit}, {"value", rounded(row.limit_seconds)}};
        json["ratio"] = rounded(row.ratio);
    }
    return json;
}

}  // namespace

Result<CheckpointRun> read_checkpoint_run(std::string_view text) {
    try {
        const auto json = nlohmann::json::parse(text);
        CheckpointRun run{.ranks = json.at("ranks"),
                          .kernel = json.value("kernel", ""),
                          .file_system = json.value("file_system", ""),
                          .samples = {}};
        for (const auto& one : json.at("samples")) {
            run.samples.push_back(
                {one.at("name"), one.at("tensors"), one.at("bytes"), one.at("seconds")});
            if (run.samples.back().seconds.empty()) {
                run.samples.pop_back();
            }
        }
        return run;
    } catch (const nlohmann::json::exception& bad) {
        return Error(ErrorCode::data_loss, bad.what())
            .at("the samples of mpitrain-bench-checkpoint")
            .mend("install programs of one version");
    }
}

std::vector<CheckpointRow> checkpoint_rows(const CheckpointRun& run) {
    std::vector<CheckpointRow> rows;
    for (const Comparison& comparison : comparisons()) {
        for (const CheckpointSample& sample : run.samples) {
            if (sample.name == comparison.name) {
                rows.push_back(row_of(run, comparison, sample));
            }
        }
    }
    return rows;
}

std::string to_table(const std::vector<CheckpointRow>& rows, const Machine& machine) {
    cli::Table table(
        {"case", "tensors", "ranks", "rounds", "seconds (min-max)", "GiB/s", "of limit"});
    for (const CheckpointRow& row : rows) {
        table.add(
            {row.name,
             std::to_string(row.tensors),
             std::to_string(row.ranks),
             std::to_string(row.rounds),
             fmt::format(
                 "{:.3f} ({:.3f}-{:.3f})", row.seconds.median, row.seconds.min, row.seconds.max),
             fmt::format("{:.2f}", gib_per_second(row)),
             row.limit.empty() ? "" : fmt::format("{:.3f} of {}", row.ratio, row.limit)});
    }
    return fmt::format(
        "{} on {} cpus ({}), load {:.2f}\n\n{}\n"
        "Medians of the slowest rank, from a barrier to a barrier, until durable. The limit is the "
        "fastest of the plain\nfiles of the same round, per byte. What was loaded is compared with "
        "what was saved.\n",
        machine.engine,
        machine.cpus,
        machine.cpu,
        machine.load,
        table.text());
}

std::string to_json(const std::vector<CheckpointRow>& rows, const Machine& machine) {
    Json json = {
        {"schema", "mpitrain.bench/1"},
        {"bench", "checkpoint"},
        {"machine",
         {{"host", machine.host},
          {"cpu", machine.cpu},
          {"cpus", machine.cpus},
          {"load", rounded(machine.load)},
          {"engine", machine.engine}}},
        {"rows", Json::array()},
    };
    for (const CheckpointRow& row : rows) {
        json["rows"].push_back(json_of(row));
    }
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_quiet(const std::vector<CheckpointRow>& rows) {
    std::string text;
    for (const CheckpointRow& row : rows) {
        text += fmt::format("{} {} {} {:.4f} {:.3f}\n",
                            row.name,
                            row.tensors,
                            row.ranks,
                            row.seconds.median,
                            row.ratio);
    }
    return text;
}

}  // namespace mpitrain::bench
