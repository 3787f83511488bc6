#include "report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace mpitrain::collectives::bench {

namespace {

using Json = nlohmann::ordered_json;

double algorithm_gb_per_s(std::size_t bytes, double us) {
    return static_cast<double>(bytes) / us / 1e3;
}

double ratio_of(const Way& way) {
    return way.baseline ? way.baseline->times.median / way.times.median : 0;
}

std::string columns_of(const Report& report, const Row& row, const Way* way) {
    if (way == nullptr) {
        return fmt::format("{:>10} {:>7} {:>7} {:>6} {:>10} {:>6}", "-", "-", "-", "-", "-", "-");
    }
    const double bandwidth = algorithm_gb_per_s(row.bytes, way->times.median);
    return fmt::format("{:>10.2f} {:>7.2f} {:>7.2f} {:>6} {:>10} {:>6}",
                       way->times.median,
                       bandwidth,
                       bandwidth * bus_factor(report.plan.verb, report.ranks),
                       way->wrong,
                       way->baseline ? fmt::format("{:.2f}", way->baseline->times.median) : "-",
                       way->baseline ? fmt::format("{:.2f}", ratio_of(*way)) : "-");
}

std::string cpu_model() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        const std::size_t colon = line.find(": ");
        if (line.starts_with("model name") && colon != std::string::npos) {
            return line.substr(colon + 2);
        }
    }
    return "";
}

Json machine_of(const Report& report) {
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    double load = 0;
    getloadavg(&load, 1);
    return {{"host", host.data()},
            {"cpu", cpu_model()},
            {"cpus", std::thread::hardware_concurrency()},
            {"load", load},
            {"engine", report.library}};
}

Json json_of(const Report& report, const Row& row, const Way& way, bool in_place) {
    const double bandwidth = algorithm_gb_per_s(row.bytes, way.times.median);
    Json json = {{"name", to_string(report.plan.verb)},
                 {"params",
                  {{"bytes", row.bytes},
                   {"count", row.count},
                   {"type", to_string(report.plan.type)},
                   {"op", to_string(report.plan.op)},
                   {"ranks", report.ranks},
                   {"in_place", in_place}}},
                 {"value", way.times.median},
                 {"unit", "us"},
                 {"baseline", nullptr},
                 {"ratio", nullptr},
                 {"n", report.plan.rounds},
                 {"min", way.times.min},
                 {"median", way.times.median},
                 {"max", way.times.max},
                 {"algbw_gb_per_s", bandwidth},
                 {"busbw_gb_per_s", bandwidth * bus_factor(report.plan.verb, report.ranks)},
                 {"wrong", way.wrong}};
    if (way.baseline) {
        json["baseline"] = {{"name", "MPI, " + way.baseline->algorithm},
                            {"value", way.baseline->times.median},
                            {"min", way.baseline->times.min},
                            {"max", way.baseline->times.max}};
        json["ratio"] = ratio_of(way);
    }
    return json;
}

}  // namespace

std::string to_table(const Report& report) {
    std::string text =
        fmt::format("{} on {} ranks, medians of {} rounds; times in us, bandwidths in GB/s\n{}\n\n",
                    to_string(report.plan.verb),
                    report.ranks,
                    report.plan.rounds,
                    report.library);
    const auto half = fmt::format("{:>10} {:>7} {:>7} {:>6} {:>10} {:>6}",
                                  "time",
                                  "algbw",
                                  "busbw",
                                  "#wrong",
                                  "MPI",
                                  "ratio");
    text += fmt::format("{:>12} {:>11} {:>5} {:>5} | {:^51} | {:^51} | MPI's best\n",
                        "",
                        "",
                        "",
                        "",
                        "out of place",
                        "in place");
    text += fmt::format(
        "{:>12} {:>11} {:>5} {:>5} | {} | {} |\n", "size", "count", "type", "redop", half, half);
    for (const Row& row : report.rows) {
        std::string best = row.apart.baseline ? row.apart.baseline->algorithm : "";
        if (row.in_place && row.in_place->baseline && row.in_place->baseline->algorithm != best) {
            best += ", " + row.in_place->baseline->algorithm;
        }
        text += fmt::format("{:>12} {:>11} {:>5} {:>5} | {} | {} | {}\n",
                            row.bytes,
                            row.count,
                            to_string(report.plan.type),
                            to_string(report.plan.op),
                            columns_of(report, row, &row.apart),
                            columns_of(report, row, row.in_place ? &*row.in_place : nullptr),
                            best);
    }
    return text;
}

std::string to_json(const Report& report) {
    Json json = {{"schema", "mpitrain.bench/1"},
                 {"bench", to_string(report.plan.verb)},
                 {"machine", machine_of(report)},
                 {"rows", Json::array()}};
    for (const Row& row : report.rows) {
        json["rows"].push_back(json_of(report, row, row.apart, false));
        if (row.in_place) {
            json["rows"].push_back(json_of(report, row, *row.in_place, true));
        }
    }
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_quiet(const Report& report) {
    std::string text;
    for (const Row& row : report.rows) {
        text += fmt::format(
            "{} {:.2f} {:.3f}\n", row.bytes, row.apart.times.median, ratio_of(row.apart));
    }
    return text;
}

}  // namespace mpitrain::collectives::bench
